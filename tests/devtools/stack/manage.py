"""Writes a file, like makemigrations, and records its arguments."""

import sys
from pathlib import Path

Path("written").touch()
print("managed:", *sys.argv[1:])
