"""A web server with one page: its health."""

import json
import os
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

PENDING = "migrations are pending in public; run: ./dev migrate"


class Health(BaseHTTPRequestHandler):
    def do_GET(self):
        pending = Path("pending").exists()
        silent = Path("silent").exists()  # for example, a worker without heartbeat
        checks = {
            "database": {"status": "ok", "latency_ms": 1.2},
            "migrations": {"status": "fail", "error": PENDING} if pending else {"status": "ok"},
        }
        if silent:
            checks["worker"] = {"status": "fail", "error": "not heard from"}
        status = "fail" if pending or silent else "ok"
        answer = {"status": status, "server": os.environ["SERVER"], "checks": checks}
        self.send_response(503 if pending or silent else 200)
        self.end_headers()
        self.wfile.write(json.dumps(answer).encode())


HTTPServer(("", 8000), Health).serve_forever()
