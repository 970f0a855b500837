"""Writes a file, like makemigrations, and records its arguments and the password it is given."""

import os
import sys
from pathlib import Path

Path("written").touch()
print("managed:", *sys.argv[1:])
print("password:", os.environ.get("DJANGO_SUPERUSER_PASSWORD"))
