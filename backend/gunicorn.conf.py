"""Gunicorn's configuration, read by itself from the directory bin/web starts it in.

https://docs.gunicorn.org/en/stable/settings.html
"""

import gc
import logging
import os
import signal
import sys
from pathlib import Path
from typing import Any

from core.env import environment_or_exit
from core.liveness import DRAIN_FILE
from core.logging import logging_config, start_batches

env = environment_or_exit(serves=True)
debugging = env["DEBUGPY_PORT"] is not None


def available_cpus() -> float:
    """Return how many CPUs this process may use: the container's limit if it has one.

    Source: https://docs.kernel.org/admin-guide/cgroup-v2.html#cpu-interface-files
    """
    cpus = float(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1)
    for quota_file, period_file in (
        ("/sys/fs/cgroup/cpu.max", None),  # version 2: "QUOTA PERIOD" or "max PERIOD"
        ("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "/sys/fs/cgroup/cpu/cpu.cfs_period_us"),
    ):
        try:
            fields = Path(quota_file).read_text().split()
            fields += Path(period_file).read_text().split() if period_file else []
        except OSError:
            continue
        quota, period = fields[:2]
        if quota not in ("max", "-1"):
            cpus = min(cpus, int(quota) / int(period))
    return cpus


bind = [address for address in (env["WEB_BIND"], env["WEB_PROBE_BIND"]) if address]
# Two while debugging: one may be paused and the other answers, and fewer start faster.
workers = 2 if debugging else env["WEB_CONCURRENCY"] or int(2 * available_cpus() + 1)
threads = env["WEB_THREADS"]
is_asgi = env["SERVER"] == "asgi"
worker_class = f"core.{'asgi' if is_asgi else 'gunicorn'}_worker.Worker"
asgi_lifespan = "off"  # Django has none
preload_app = True  # see core/wsgi.py
# No timeout while debugging: a request may be paused. It limits the process, not a request: the
# time of a client is limited in core/gunicorn_worker.py, that of the database by its own limits.
timeout = 0 if debugging else 60
# Below the container's grace period, so that requests can end.
graceful_timeout = 86400 if debugging else 25
# Longer than a balancer in front keeps a connection: the one that closes it must be the one that
# sends requests, or a request meets the close and is lost.
keepalive = env["WEB_KEEP_ALIVE"]
# Heartbeats of workers are files; on a busy disk they would be late.
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None
# Which proxy is believed is decided in one place: core.middleware.ForwardedHeadersMiddleware.
forwarded_allow_ips = ""
# One path for every project of a home directory; nothing here uses it.
control_socket_disable = True


def on_starting(server: Any) -> None:
    """Take requests again, after a restart in the same container."""
    DRAIN_FILE.unlink(missing_ok=True)


def pre_fork(server: Any, worker: Any) -> None:
    """Leave what is loaded out of garbage collections: each would copy the memory it shares."""
    gc.freeze()


def post_fork(server: Any, worker: Any) -> None:
    """Obey a stop that came during the fork; write the lines of requests together.

    Up to here this process has the handlers of its parent, which only note a signal. It would
    serve on, until it is killed in the middle of a request.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # until the worker sets its handler
    while not server.SIG_QUEUE.empty():
        if server.SIG_QUEUE.get_nowait() == signal.SIGTERM:
            os._exit(0)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    if not debugging:  # beside a debugger, at once: it stops all threads
        start_batches()


def post_worker_init(worker: Any) -> None:
    """Count this process's requests, where a collector is named."""
    # Imported late: this file is read before Django has its settings.
    from core import tracing

    tracing.start_metrics()


def worker_exit(server: Any, worker: Any) -> None:
    """End a worker without the interpreter's finalisation, and with the status it was to have.

    That would touch, and so copy, all the memory that it shares with the others: half a second of
    processor time for each.
    """
    if worker.pid != os.getpid():  # Gunicorn calls this for a worker that was gone, too
        return
    end = sys.exc_info()[1]
    code = end.code if isinstance(end, SystemExit) else 1
    from core import tracing  # late, as above

    try:
        tracing.flush()
    except Exception:
        logging.exception("traces not handed over")
    logging.shutdown()
    os._exit(code if isinstance(code, int) else 1)


# No access log: core/request_log.py writes a line for each request.
logconfig_dict = logging_config(env["LOG_FORMAT"], env["LOG_LEVEL"])
