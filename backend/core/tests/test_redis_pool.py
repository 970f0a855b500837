"""A command that a time limit interrupts leaves its answer to no other one."""

import pytest
import redis
from celery.exceptions import SoftTimeLimitExceeded
from django.core.cache import cache

from core.celery import app
from core.celery.broker import broker

KEY = "redis-pool-tests"


def pipelined(client):
    with client.pipeline() as pipe:
        return pipe.get(KEY).execute()


@pytest.fixture
def interrupted(monkeypatch):
    """Let a time limit end `command` after it was sent."""

    def run(command):
        send = redis.Connection.send_packed_command

        def interrupted(self, *arguments, **options):
            send(self, *arguments, **options)
            raise SoftTimeLimitExceeded

        with monkeypatch.context() as patch:
            patch.setattr(redis.Connection, "send_packed_command", interrupted)
            with pytest.raises(SoftTimeLimitExceeded):
                command()

    return run


def test_of_the_cache(empty_cache, interrupted):
    cache.set("secret", "of another tenant")
    interrupted(lambda: cache.get("secret"))
    assert cache.get("missing") is None
    interrupted(lambda: cache.get_many(["secret", "missing"]))
    assert cache.get("secret") == "of another tenant"


@pytest.mark.parametrize("command", [lambda client: client.get(KEY), pipelined])
@pytest.mark.parametrize("client", [broker, lambda: app.backend.client], ids=["broker", "results"])
def test_of_celery(client, command, interrupted):
    client().set(KEY, "of another tenant", ex=60)
    interrupted(lambda: command(client()))
    assert client().exists("missing") == 0
    assert client().get(KEY) == b"of another tenant"
    client().delete(KEY)
