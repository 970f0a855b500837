"""`./dev mcp` starts this with the Python of .venv."""

import sys

from .server import main

main(sys.argv[1:])
