"""Where a run of the backend's tests finds its database and Redis, and what of them it has alone.

`./dev test` sets the environment. Plain `pytest`, as the editor calls it, asks `./dev` for it.
"""

from __future__ import annotations

import atexit
import json
import os
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg

CHECKOUT = Path(__file__).resolve().parents[2]
APPLICATION = "app"  # the role of web and worker, which cannot make databases
RUN = "TEST_RUN"

# Redis databases of each run that goes on at the same time: cache, broker, results. The stack
# itself has 0 to 2, and Redis 16 in all.
REDIS_DATABASES = {1: (8, 9, 10), 2: (11, 12, 13), 3: (3, 4, 5)}
_LOCK = 0x74657374  # "test": the first number of the advisory locks


def use_stack() -> None:
    """Set the variables that tests get here, unless they are set: in place of those of web too.

    Raises SystemExit with what is missing, where no stack serves this checkout.
    """
    if RUN in os.environ:
        return  # a process that a test started, with variables of the test's own
    database = urlsplit(os.environ.get("DATABASE_URL", ""))
    if database.hostname and database.username != APPLICATION:
        return
    asked = subprocess.run(
        [CHECKOUT / "dev", "test", "--environment"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    if asked.returncode:
        raise SystemExit(f"The tests need the database and Redis.\n{asked.stderr or asked.stdout}")
    os.environ.update(json.loads(asked.stdout))


def claim(database: dict[str, Any]) -> int:
    """Return the number of this run, which no other run has until this process ends.

    Child processes have the number of their parent. A server that does not answer locks nothing:
    the first test that needs it says so.
    """
    if RUN in os.environ:
        return int(os.environ[RUN])
    try:
        connection = psycopg.connect(
            host=database["HOST"],
            port=database["PORT"] or None,
            user=database["USER"],
            password=database["PASSWORD"],
            dbname="postgres",  # locks are seen within one database, and this one always exists
            autocommit=True,
            connect_timeout=3,
        )
    except psycopg.OperationalError:
        return 1
    atexit.register(connection.close)  # the lock goes with it, however the process ends
    for number in REDIS_DATABASES:
        query = "SELECT pg_try_advisory_lock(%s, %s)"
        [(locked,)] = connection.execute(query, [_LOCK, number]).fetchall()
        if locked:
            os.environ[RUN] = str(number)
            return number
    raise SystemExit(f"{len(REDIS_DATABASES)} runs of the tests go on already; wait for one to end")


def redis_url(url: str, database: int) -> str:
    """Return the URL with another database."""
    return urlsplit(url)._replace(path=f"/{database}").geturl()
