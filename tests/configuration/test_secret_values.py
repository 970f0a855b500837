"""`./dev secrets` writes every variable that production requires."""

from __future__ import annotations

from devtools.checkout import Checkout
from devtools.production import secret_values


def test_what_a_product_requires_is_written_too(tmp_path):
    (tmp_path / "docker-compose.prod.yml").write_text(
        "x-environment:\n  SECRET_KEY: ${SECRET_KEY}\n  PAYMENT_KEY: ${PAYMENT_KEY}\n"
        "  BANK: ${BANK}\n  LIMIT:\n  # ${COMMENT}\n"
    )
    (tmp_path / ".env.example").write_text("# e.g. PAYMENT_KEY={random}\n# e.g. BANK=acme\n")
    left = secret_values.write(Checkout(tmp_path, {}), "acme.example")

    lines = (tmp_path / ".env.production").read_text().splitlines()
    values = dict(line.split("=", 1) for line in lines if "=" in line)
    assert len(values["PAYMENT_KEY"]) == 64
    assert left == ["EMAIL_URL", "BANK"]
    assert not {"LIMIT", "COMMENT"} & values.keys()
