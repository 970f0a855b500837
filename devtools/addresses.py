"""Where the running stack is found, spelled alike by every engine."""

from __future__ import annotations

from collections.abc import Iterable

from . import health

TENANTS_QUERY = "SELECT schema_name FROM tenant_config WHERE is_active ORDER BY schema_name"


def pages(port: int) -> dict[str, str]:
    """What web answers on `port`, by name."""
    base = f"http://localhost:{port}"
    return {"web": f"{base}/", "admin": f"{base}/admin/", "health": f"{base}{health.PATH}"}


def database(user: str, port: int, name: str) -> str:
    """The database for a tool of this machine; it asks for the password."""
    return f"postgresql://{user}@localhost:{port}/{name}"


def cache(port: int) -> str:
    """Redis for a tool of this machine."""
    return f"redis://localhost:{port}"


def aws(port: int) -> str:
    """An emulator of AWS for a tool of this machine, which needs any keys and a region."""
    return f"http://localhost:{port}"


def tenants(names: Iterable[str], port: int) -> dict[str, str]:
    """Where each of the tenants `names` is answered by web on `port`."""
    return {name: f"http://{name}.localhost:{port}/" for name in names}
