"""A self-signed certificate for the proxy of a production stack on this machine."""

from __future__ import annotations

from pathlib import Path

from ..checkout import Checkout


def make_certificate(checkout: Checkout, directory: Path) -> Path:
    """Write a self-signed certificate for *.localhost, with its key; return the file.

    Raises:
        DevError: if openssl is missing or fails.
    """
    file = directory / "both.pem"
    checkout.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:*.localhost,DNS:localhost"),
            *("-keyout", str(file), "-out", str(file)),
        ]
    ).must("openssl created no certificate")
    file.chmod(0o644)  # the proxy runs as another user
    return file
