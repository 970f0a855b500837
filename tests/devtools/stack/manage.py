"""Leaves a file, as makemigrations does, and says how it was called."""

import sys
from pathlib import Path

Path("written").touch()
print("managed:", *sys.argv[1:])
