"""Print the seconds of processor time that a process and all below it have used.

Runs on its own, with the Python of .venv, which has psutil: processor.py PID.
"""

import contextlib
import sys

import psutil


def main(process: int) -> None:
    """Print the sum of user and system time."""
    total = 0.0
    top = psutil.Process(process)
    for one in [top, *top.children(recursive=True)]:
        with contextlib.suppress(psutil.NoSuchProcess):
            times = one.cpu_times()
            total += times.user + times.system
    print(total)


if __name__ == "__main__":
    main(int(sys.argv[1]))
