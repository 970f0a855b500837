#!/usr/bin/env python
"""Django's command line; `./dev manage COMMAND` runs it inside the stack."""

import sys

from core import garbage
from core.env import environment_or_exit


def main() -> None:
    garbage.look_seldom()
    environment_or_exit()
    from tenants.command_line import run

    run(sys.argv)


if __name__ == "__main__":
    main()
