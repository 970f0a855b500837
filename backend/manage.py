#!/usr/bin/env python
"""Django's command line: `./dev manage COMMAND` runs it inside the stack."""

import sys

from core.env import EnvironmentProblems, environment


def main() -> None:
    try:
        environment()
    except EnvironmentProblems as problems:
        sys.exit(str(problems))
    from tenants.command_line import run

    run(sys.argv)


if __name__ == "__main__":
    main()
