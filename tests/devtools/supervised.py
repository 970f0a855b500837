"""Replaces bin/web: a server whose faults a test selects by files in its directory.

broken      it exits at once, with exit status 3
stubborn    it and its child ignore signals to stop
drains      it writes to `drained` when it is told to stop
orphans     it leaves children behind that exit soon

Under a debugger it starts an adapter like debugpy: a process in a separate session that listens
and outlives the server.
"""

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

print(f"{os.environ['SERVER']} starts", flush=True)
with (place / "started").open("a") as starts:
    starts.write(f"{time.monotonic()} {os.getpid()} {os.environ['RELOAD']}\n")
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
if (place / "orphans").exists():
    for _ in range(5):
        subprocess.run(["sh", "-c", "sleep 0.2 &"], check=True)
if port:
    subprocess.Popen([sys.executable, __file__, str(place), "adapter"], start_new_session=True)
time.sleep(600)
