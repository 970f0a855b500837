"""Print how many bytes of memory a process and all below it take, shared pages divided.

Runs on its own, with the Python of .venv, which has psutil: memory.py PID. Ends with 1 where
the system does not tell.
"""

import sys

import psutil


def main(process: int) -> int:
    total = 0
    top = psutil.Process(process)
    for one in [top, *top.children(recursive=True)]:
        try:
            total += one.memory_full_info().pss
        except psutil.NoSuchProcess:
            continue
        except (psutil.AccessDenied, AttributeError):
            return 1
    print(total)
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
