"""The cache's client is made once, and is as good in a forked process and in another thread."""

import os
from concurrent.futures import ThreadPoolExecutor
from threading import Thread

from django.core.cache import cache, caches


def test_calls_share_a_client_and_each_process_has_its_own_connection(empty_cache):
    cache.set("a", 1)
    client = cache._cache.get_client(write=True)
    assert cache._cache.get_client() is client

    child = os.fork()
    if not child:
        os._exit(0 if cache.get("a") == 1 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda _: client.ping(), range(20))) == [True] * 20
    assert cache.get("a") == 1


def test_threads_share_connections_and_leave_none_open(empty_cache):
    cache.set("a", 1)
    clients = []
    for _ in range(2):
        thread = Thread(target=lambda: clients.append(caches["default"]._cache))
        thread.start()
        thread.join(30)
    assert clients == [cache._cache] * 2
