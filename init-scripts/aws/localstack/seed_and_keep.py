"""LocalStack runs this in its own process when it is ready: it is seeded, then keeps its changes.

Its process has loaded what the seed needs; another one would take a second to do so.
https://docs.localstack.cloud/references/init-hooks/
"""

import os
import sys
from pathlib import Path
from unittest import mock

sys.path.insert(0, "/aws")

import seed
from machines import leave_out_machines

leave_out_machines()
KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
with mock.patch.dict(os.environ, KEYS, AWS_ENDPOINT_URL="http://127.0.0.1:4566"):
    # Another container has the accounts, and may start later.
    seed.fill(seed.PARTS, wait=True)

try:
    from localstack.runtime import get_current_runtime
    from persistence import Persistent
    from rolo.gateway.wsgi import WsgiGateway

    gateway = WsgiGateway(get_current_runtime().components.gateway)
except (ImportError, AttributeError):
    seed.say("warning", "changes are not kept", reason="this emulator is not LocalStack 4")
else:
    serve = WsgiGateway.__call__
    persistent = Persistent(lambda *request: serve(gateway, *request), Path("/data/changes.jsonl"))
    persistent.repeat()
    WsgiGateway.__call__ = lambda _, *request: persistent(*request)
