"""The addresses of the running stack, formatted in the same way for every engine."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from . import health, project_table, texts
from .services import AWS, CACHE, COGNITO, DATABASE, WEB

TENANTS_QUERY = "SELECT schema_name FROM tenant_config WHERE is_active ORDER BY schema_name"

LOCALHOST = "localhost"
_OF_WORK_TREE = re.compile(r"gitdir: (.+?)(?:/\.git)?/worktrees/[^/]+\s*")


def host(root: Path, stack: str) -> str:
    """The name of this machine under which the `stack` of the checkout in `root` is shown.

    That of a work tree tells it from the others: BRANCH.localhost if its folder is named after the
    main checkout and the branch, else STACK.localhost.
    """
    found = _OF_WORK_TREE.fullmatch(texts.read(root / ".git"))
    if not found:  # a folder, or not a repository
        return LOCALHOST
    main = project_table.stack_name(root.joinpath(found[1]))
    label = stack.replace("_", "-").removeprefix(f"{main.replace('_', '-')}-").strip("-")
    return f"{label}.{LOCALHOST}" if 0 < len(label) < 64 else LOCALHOST


def pages(host: str, port: int) -> dict[str, str]:
    """The pages that web serves on `port`, by name."""
    base = f"http://{host}:{port}"
    return {"web": f"{base}/", "admin": f"{base}/admin/", "health": f"{base}{health.PATH}"}


def of_services(
    host: str, ports: Mapping[str, int], user: str = "", database: str = ""
) -> dict[str, str]:
    """The pages, and the URLs of services for a tool on this machine, by the `ports` of those that
    can be reached. The tool asks for the password of `user`; AWS needs any keys and a region."""
    forms = {
        DATABASE: f"postgresql://{user}@localhost:{{}}/{database}",
        CACHE: "redis://localhost:{}",
        AWS: "http://localhost:{}",
        COGNITO: "http://localhost:{}",
    }
    found = pages(host, ports[WEB]) if ports.get(WEB) else {}
    reached = {name: form.format(ports[name]) for name, form in forms.items() if ports.get(name)}
    return {**found, **reached}


def tenants(
    names: Iterable[str], host: str, port: int, environment: Mapping[str, str | None]
) -> dict[str, str]:
    """The addresses of the tenants `names` on the `port` of a web with this environment."""
    if single := environment.get("SINGLE_TENANT"):
        return {single: f"http://{host}:{port}/"}
    return {name: f"http://{name}.{host}:{port}/" for name in names}
