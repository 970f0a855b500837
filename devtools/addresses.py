"""The addresses of the running stack, formatted in the same way for every engine."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from . import health

TENANTS_QUERY = "SELECT schema_name FROM tenant_config WHERE is_active ORDER BY schema_name"


def pages(port: int) -> dict[str, str]:
    """The pages that web serves on `port`, by name."""
    base = f"http://localhost:{port}"
    return {"web": f"{base}/", "admin": f"{base}/admin/", "health": f"{base}{health.PATH}"}


def database(user: str, port: int, name: str) -> str:
    """The database's URL for a tool on this machine; the tool asks for the password."""
    return f"postgresql://{user}@localhost:{port}/{name}"


def cache(port: int) -> str:
    """Redis's URL for a tool on this machine."""
    return f"redis://localhost:{port}"


def aws(port: int) -> str:
    """An AWS emulator's URL for a tool on this machine, which needs any keys and a region."""
    return f"http://localhost:{port}"


def tenants(
    names: Iterable[str], port: int, environment: Mapping[str, str | None]
) -> dict[str, str]:
    """The addresses of the tenants `names` on the `port` of a web with this environment."""
    if single := environment.get("SINGLE_TENANT"):
        return {single: f"http://localhost:{port}/"}
    return {name: f"http://{name}.localhost:{port}/" for name in names}
