"""Is this container's process alive? `bin/healthy web` and `bin/healthy worker` ask here.

`bin/healthy stack` shows what web reaches, with the detail. `bin/drain` lets web say no in
advance: see `drain`.

Liveness only: restarting a container does not help when its database is down. What the
stack can reach is answered at /api/v1/health/ (see core/health.py).
"""

from __future__ import annotations

import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from core.env import EnvironmentProblems, own

HEARTBEAT_INTERVAL = 5  # seconds between two signs of life of the worker
HEARTBEAT_TIME_TO_LIVE = 20  # seconds a worker may be silent before it counts as gone


def heartbeat_file() -> Path:
    """Return the file that holds the worker's last sign of life: see `beat`."""
    return Path(own("WORKER_HEARTBEAT_FILE")["WORKER_HEARTBEAT_FILE"])


def beat() -> None:
    """Record that the worker is alive now, using the system-wide monotonic clock.

    By the time of day a clock that is set back would keep a dead worker healthy.
    """
    file = heartbeat_file()
    new = file.with_name(f"{file.name}.new")
    new.write_text(f"{time.monotonic()}\n")
    new.replace(file)


# Of this container alone, and gone with it: its /tmp is its own.
DRAIN_FILE = Path("/tmp/homeport-web-draining")


def drain() -> str:
    """Let liveness answer 503 from now on, so that a proxy sends no new request; return so.

    Only the signal of stopping comes too late: connections that a proxy opens between that
    signal and its next probe would be lost.
    """
    DRAIN_FILE.touch()
    return "draining"


def state() -> tuple[int, str]:
    """Return the HTTP status of liveness and its word, while this process can answer at all."""
    return (503, "draining") if DRAIN_FILE.exists() else (200, "ok")


def port(name: str) -> int | None:
    """Return the port of the address in this variable; None where it is empty."""
    address = own(name)[name]
    return int(address.rpartition(":")[2]) if address else None


def check_web() -> str:
    """Ask the server of this container; return what was found.

    Raises:
        OSError: when it does not answer 200 within 4 seconds.
    """
    url = f"http://127.0.0.1:{port('WEB_PROBE_BIND') or port('WEB_BIND')}/api/v1/health/live/"
    try:
        with urllib.request.urlopen(url, timeout=4) as response:
            return f"{url} answered {response.status}"
    except urllib.error.HTTPError as error:
        with error:  # which is an open answer
            raise


def check_worker() -> str:
    """Look at the worker's last heartbeat; return what was found.

    Raises:
        OSError: when there is none, or it is too old, or of before the machine's last start.
    """
    age = time.monotonic() - float(heartbeat_file().read_text())
    if not 0 <= age <= HEARTBEAT_TIME_TO_LIVE:
        raise TimeoutError(f"the last heartbeat is {age:.0f} s old")
    return f"heartbeat {age:.0f} s ago"


def check_stack() -> str:
    """Ask web of this container what it reaches; return its answer, with the detail.

    Raises:
        OSError: when something needed is down, or web does not answer within 10 seconds.
    """
    url = f"http://127.0.0.1:{port('WEB_BIND')}/api/v1/health/"
    try:
        with urllib.request.urlopen(url, timeout=10) as response:
            return response.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            raise OSError(error.read().decode()) from error


CHECKS = {"web": check_web, "worker": check_worker, "stack": check_stack, "drain": drain}


def main(arguments: list[str]) -> int:
    """Run one check by name; return the exit status."""
    if len(arguments) != 1 or arguments[0] not in CHECKS:
        print(f"usage: healthy {'|'.join(CHECKS)}", file=sys.stderr)
        return 2
    try:
        print(CHECKS[arguments[0]]())
    except (OSError, EnvironmentProblems) as error:
        print(f"unhealthy: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
