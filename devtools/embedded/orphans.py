"""Stop the processes of a checkout whose supervisor is gone.

A separate script for the Python of .venv, because only psutil can read the environment of
processes on every system:

    orphans.py '["MARK", "value", "SERVICE"]' '["web", "TERM"]' '["db", "INT"]'

stops, service by service in the given order and with the given signal, the processes that have
MARK=value and SERVICE=web, SERVICE=db in their environment, and prints the services it found.
"""

import json
import signal
import sys
import time

import psutil

PATIENCE = 8  # seconds for each service


def main(arguments: list[str]) -> int:
    mark, *services = map(json.loads, arguments)
    # A running supervisor that does not answer would only restart them.
    end(marked(mark, ""), signal.SIGKILL)
    for service, name in services:
        found = marked(mark, service)
        if found:
            print(service)
        end(found, getattr(signal, f"SIG{name}"))
    return 0


def marked(mark: list[str], service: str) -> list[psutil.Process]:
    """The processes of `service`; with an empty name those of the supervisor itself."""
    variable, value, variable_of_service = mark
    found = []
    for process in psutil.process_iter():
        try:
            environment = process.environ()
        except (psutil.Error, OSError):
            continue  # gone, or another user's
        ours = environment.get(variable) == value
        if ours and environment.get(variable_of_service, "") == service:
            found.append(process)
    return found


def end(processes: list[psutil.Process], number: int) -> None:
    """Signal the topmost of `processes`, and kill those that remain after PATIENCE."""
    numbers = {process.pid for process in processes}
    for process in processes:
        try:
            # The topmost one stops the others: a signalled pool process would drop its task.
            if process.ppid() not in numbers:
                process.send_signal(number)
        except psutil.NoSuchProcess:
            continue
    for process in wait(processes):
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    wait(processes)


def wait(processes: list[psutil.Process]) -> list[psutil.Process]:
    """Wait until all of `processes` have exited, at most PATIENCE; return those that have not."""
    end = time.monotonic() + PATIENCE
    while True:
        alive = [process for process in processes if not ended(process)]
        if not alive or time.monotonic() > end:
            return alive
        time.sleep(0.02)


def ended(process: psutil.Process) -> bool:
    """Whether it has exited, even if its new parent has not reaped it yet."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
