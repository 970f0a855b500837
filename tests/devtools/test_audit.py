"""Looking up the locked packages, with a stand-in for pip-audit."""

from __future__ import annotations

import os

from devtools.checkout import Checkout
from devtools.production.audit import audit

PIP_AUDIT = """#!/bin/sh
for lock; do :; done
case $lock in
base.txt) version=1 vulns='{"id": "CVE-1", "fix_versions": ["2"]}' ;;
cloud.txt) version=2 vulns= ;;
*) echo "no such lock" >&2; exit 1 ;;
esac
printf '{"dependencies": [{"name": "botocore", "version": "%s", "vulns": [%s]}]}' $version "$vulns"
"""


def test_each_lock_is_looked_up_with_the_version_that_it_has(tmp_path):
    program = tmp_path / "python"
    program.write_text(PIP_AUDIT)
    program.chmod(0o755)
    found = audit(Checkout(tmp_path, dict(os.environ)), program, "base.txt", "cloud.txt", "no.txt")
    assert found.looked_up == 2
    assert [(one.package, one.version, one.advisory) for one in found.findings] == [
        ("botocore", "1", "CVE-1")
    ]
    assert found.not_looked_up == ["no.txt: no such lock"]
