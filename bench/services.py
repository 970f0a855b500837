"""Print what each service below a supervisor uses, as JSON: processor time in s, memory in bytes.

Runs on its own, with the Python of .venv, which has psutil: services.py PID. Ends with 1 where the
system does not tell. A service is named by its command; its processes that have ended count, too.
"""

import contextlib
import json
import sys

import psutil

NAMES = {"postgres": "db", "valkey-server": "redis", "web": "web", "worker": "worker"}


def main(supervisor: int) -> int:
    found = {}
    for child in psutil.Process(supervisor).children():
        with contextlib.suppress(psutil.NoSuchProcess):
            words = [word.rpartition("/")[2] for word in child.cmdline()]
            name = next((NAMES[word] for word in words if word in NAMES), None)
            if name is None:
                continue
            processor = memory = 0.0
            for one in [child, *child.children(recursive=True)]:
                with contextlib.suppress(psutil.NoSuchProcess):
                    try:
                        memory += one.memory_full_info().pss
                    except (psutil.AccessDenied, AttributeError):
                        return 1
                    times = one.cpu_times()
                    processor += times.user + times.system
                    processor += times.children_user + times.children_system
            found[name] = {"processor": processor, "memory": memory}
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
