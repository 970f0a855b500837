"""Measure what tenancy costs, in a scratch database of the running stack's PostgreSQL.

python3 devtools/bench/tenancy.py [--tenants 2 100 500]
"""

import os
import subprocess
import sys


def main(arguments):
    """Run the measurement as the database's superuser, who may look at a backend's memory."""
    password = os.environ.get("POSTGRES_PASSWORD") or "postgres"
    command = [
        *("docker", "compose", "run", "--rm", "--env"),
        f"DATABASE_URL=postgres://postgres:{password}@db:5432/homeport",
        *("migrate", "python", "manage.py", "bench_tenancy", *arguments),
    ]
    return subprocess.run(command, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
