"""The role that web and worker log in as, for tests that must not have the owner's rights."""

import os
from urllib.parse import urlsplit

import pytest

# Compose gives the tests what it gives the database; without it both have the default.
APPLICATION = {"user": "app", "password": os.environ.get("APP_PASSWORD") or "app"}

# tcp://HOST:PORT of a connection pool, through which the role logs in then; the owner never does.
POOL = os.environ.get("TEST_DATABASE_POOL", "")
if POOL:
    APPLICATION |= {"host": str(urlsplit(POOL).hostname), "port": str(urlsplit(POOL).port)}

of_a_session = pytest.mark.skipif(bool(POOL), reason="through a pool no state of a session lasts")
