"""Snapshots: copying a database by template, as `./dev snapshot` does, beside dump and load."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable

from devtools.checkout import Checkout
from devtools.database import MAINTENANCE, identifier, query
from devtools.engines.base import Engine
from devtools.engines.choice import choose
from devtools.errors import DevError
from devtools.terminal import Terminal

from .measure import Measure

# Beside what the stack's own database holds: rows of 80 bytes and an index on them.
FILL = """
CREATE TABLE bench AS SELECT id, md5(id::text) || md5(id::text) AS text
                      FROM generate_series(1, 2000000) AS id;
CREATE INDEX ON bench (id)
"""
# A name that no snapshot can have, so that `./dev snapshot list` does not show it.
SOURCE, COPY = "bench@@source", "bench@@copy"

_DUMP = 'pg_dump --format=custom "$1" | pg_restore --dbname="$2"'

TEMPLATE_SMALL = "by template, the stack's database"
DUMP_SMALL = "dump and load, the stack's database"
RATIO_SMALL = "  times as long by dump"
TEMPLATE_LARGE = "by template, with 2,000,000 rows more"
DUMP_LARGE = "dump and load, with 2,000,000 rows more"
RATIO_LARGE = "  times as long by dump, 2,000,000 rows more"


def measure(checkout: Checkout, terminal: Terminal, rounds: int) -> list[Measure]:
    """Measure in scratch databases of the running stack's PostgreSQL, both ways in turn."""
    engine = choose("", checkout, terminal)
    main = query(engine, "SELECT current_database()")[0]
    found: dict[str, list[float]] = defaultdict(list)
    names = (
        (TEMPLATE_SMALL, DUMP_SMALL, RATIO_SMALL),
        (TEMPLATE_LARGE, DUMP_LARGE, RATIO_LARGE),
    )
    try:
        _drop(engine, SOURCE)
        _create(engine, SOURCE)
        _load(engine, main, SOURCE)
        for number, (template, dump, ratio) in enumerate(names):
            if number:
                query(engine, FILL, "CHECKPOINT", database=SOURCE, timeout=300)
            for turn in range(1, rounds + 1):
                with terminal.step(f"{template}, round {turn}"):
                    _drop(engine, COPY)
                    by_template = _seconds(lambda: _create(engine, COPY, SOURCE))
                    _drop(engine, COPY)
                    _create(engine, COPY)
                    by_dump = _seconds(lambda: _load(engine, SOURCE, COPY))
                found[template].append(by_template)
                found[dump].append(by_dump)
                found[ratio].append(by_dump / by_template)
    finally:
        _drop(engine, COPY, SOURCE)
    return [
        Measure(name, "x", 1, found[name], at_least=True)
        if name in (RATIO_SMALL, RATIO_LARGE)
        else Measure(name, "s", None, found[name])
        for group in names
        for name in group
    ]


def _create(engine: Engine, name: str, template: str = "template0") -> None:
    create = f"CREATE DATABASE {identifier(name)} TEMPLATE {identifier(template)}"
    query(engine, create, database=MAINTENANCE, timeout=300)


def _drop(engine: Engine, *names: str) -> None:
    for name in names:
        query(engine, f"DROP DATABASE IF EXISTS {identifier(name)}", database=MAINTENANCE)


def _load(engine: Engine, source: str, target: str) -> None:
    done = engine.in_database(_DUMP, source, target, timeout=600)
    if not done.ok:
        raise DevError(f"dump and load failed: {done.last_words}")


def _seconds(work: Callable[[], None]) -> float:
    began = time.monotonic()
    work()
    return time.monotonic() - began
