"""Replaces bin/web: a server whose faults a test selects by files in its directory.

broken      it exits at once, with exit status 3
stubborn    it and its child ignore signals to stop
drains      it writes to `drained` when it is told to stop
slow        it needs a second to start
deaf        it does not answer requests

It serves the socket behind the file descriptor of its last argument. Under a debugger it starts an
adapter like debugpy: a process in a separate session that listens and outlives the server.
"""

import http.server
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

place = Path(sys.argv[1])
port = os.environ.get("DEBUGPY_PORT")

if "adapter" in sys.argv:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", int(port)))
        listener.listen()
        time.sleep(600)

server = os.environ["SERVER"]
print(f"{server} starts", flush=True)
with (place / "started").open("a") as starts:
    starts.write(f"{time.monotonic()} {os.getpid()} {server} {os.environ.get('RELOAD')}\n")
if (place / "broken").exists():
    sys.exit(3)
if (place / "stubborn").exists():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    subprocess.Popen(["sleep", "600"])


def drain(number, frame):
    (place / "drained").write_text("")
    sys.exit(0)


if (place / "drains").exists():
    signal.signal(signal.SIGTERM, drain)
if port:
    subprocess.Popen([sys.executable, __file__, str(place), "adapter"], start_new_session=True)
if (place / "slow").exists():
    time.sleep(1)
if (place / "deaf").exists():
    time.sleep(600)


class Health(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(http.HTTPStatus.OK)
        self.end_headers()
        self.wfile.write(json.dumps({"status": "ok", "server": server, "checks": {}}).encode())

    def log_message(self, *_):
        pass


web = http.server.HTTPServer(("127.0.0.1", 0), Health, bind_and_activate=False)
web.socket.close()
web.socket = socket.socket(fileno=int(sys.argv[2]))
web.timeout = 0.1
stops = []
if not any((place / fault).exists() for fault in ("drains", "stubborn")):
    signal.signal(signal.SIGTERM, lambda *_: stops.append(1))
while not stops:
    web.handle_request()
