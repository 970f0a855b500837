"""The environment contract on the command line.

python -m core.env get SERVER   # print values; refuses a bad environment
python -m core.env check        # look at what Compose files read, too
python -m core.env example      # print .env.example
python -m core.env contract     # print the declarations, as JSON
python -m core.env effective    # print what this process would see of them, as JSON
python -m core.env verify JSON  # print the problems of several environments, as JSON
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

from .export import contract, effective, example_file, verify
from .process import own
from .validation import EnvironmentProblems, read


def main(arguments: list[str]) -> int:
    """Run one of the commands above; return the exit status."""
    try:
        match arguments:
            case ["get", *names] if names:
                values = own(*names)
                for name in names:
                    print(_as_text(values[name]))
            case ["check"]:
                read(os.environ, readers=("backend", "compose"))
            case ["example"]:
                print(example_file(), end="")
            case ["contract"]:
                print(json.dumps(contract()))
            case ["effective"]:
                print(json.dumps(effective()))
            case ["verify", environments]:
                print(json.dumps(verify(json.loads(environments))))
            case _:
                print(__doc__, file=sys.stderr)
                return 2
    except EnvironmentProblems as problems:
        print(problems, file=sys.stderr)
        return 1
    return 0


def _as_text(value: Any) -> str:
    """Write a value as a shell tests it: nothing for None, true or false."""
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
