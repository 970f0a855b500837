"""The role that web and worker log in as, for tests that must not have the owner's rights."""

import os

# Compose gives the tests what it gives the database; without it both have the default.
APPLICATION = {"user": "app", "password": os.environ.get("APP_PASSWORD") or "app"}
