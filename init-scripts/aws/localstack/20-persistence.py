"""LocalStack runs this in its own process, after the seed: changes are kept from now on.

https://docs.localstack.cloud/references/init-hooks/
"""

import sys
from pathlib import Path

sys.path.insert(0, "/aws")

import seed
from persistence import Persistent

try:
    from localstack.runtime import get_current_runtime
    from rolo.gateway.wsgi import WsgiGateway

    gateway = WsgiGateway(get_current_runtime().components.gateway)
except (ImportError, AttributeError):
    seed.say("warning", "changes are not kept", reason="this emulator is not LocalStack 4")
else:
    serve = WsgiGateway.__call__
    persistent = Persistent(lambda *request: serve(gateway, *request), Path("/data/changes.jsonl"))
    persistent.repeat()
    WsgiGateway.__call__ = lambda _, *request: persistent(*request)
