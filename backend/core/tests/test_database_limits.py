"""No session blocks others for long: each kind of process has its limits."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.db import connection

from core.database_limits import connection_options
from core.env import environment

BACKEND = Path(__file__).resolve().parents[2]
LIMITS = ("lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout")
SHOW = f"""
import json
from django.db import connection
with connection.cursor() as cursor:
    cursor.execute("DISCARD ALL")
    found = []
    for name in {LIMITS}:
        cursor.execute("SHOW " + name)
        found += cursor.fetchone()
print(json.dumps(found))
"""
STARTED = {
    "web": "import core.wsgi",
    "worker": "import core.wsgi; from celery import signals; from core.celery import app;"
    " signals.worker_init.send(sender=None)",
    "release": "import django; django.setup()",
}


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("process", "limits"),
    [
        ("web", ["2s", "7s", "30s"]),
        ("worker", ["10s", "4min", "2min"]),
        ("release", ["5s", "0", "0"]),
    ],
)
def test_each_process_has_its_own_limits_and_keeps_them(process, limits):
    where = connection.settings_dict
    login = f"{where['USER']}:{where['PASSWORD']}@{where['HOST']}:{where['PORT']}"
    environment = {
        **os.environ,
        "DATABASE_URL": f"postgres://{login}/{where['NAME']}",
        "WEB_DATABASE_LIMITS": "lock=2,statement=7,idle=30",
    }
    code = f"{STARTED[process]}\n{SHOW}"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=BACKEND, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == limits


def test_tests_have_the_limits_of_a_release():
    # Creating and dropping a test database may take longer than a request.
    expected = connection_options(environment()["RELEASE_DATABASE_LIMITS"])
    assert connection.settings_dict["OPTIONS"]["options"] == expected, "who imports core.wsgi?"
