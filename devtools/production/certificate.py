"""A self-signed certificate for the proxy of a production stack on this machine."""

from __future__ import annotations

from pathlib import Path

from ..checkout import Checkout
from ..process import capture


def make_certificate(checkout: Checkout, directory: Path) -> Path:
    """Write a self-signed certificate for *.localhost, with its key; return the file.

    Raises:
        DevError: if openssl is missing or fails.
    """
    chain, key, both = (directory / name for name in ("chain.pem", "key.pem", "both.pem"))
    capture(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:*.localhost,DNS:localhost"),
            *("-keyout", str(key), "-out", str(chain)),
        ],
        directory=directory,
        environment=checkout.variables,
    ).must("openssl created no certificate")
    both.write_text(chain.read_text() + key.read_text())
    both.chmod(0o644)  # the proxy runs as another user
    return both
