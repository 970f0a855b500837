"""Print YAML files as JSON, with the line of each key. Run by a Python that has PyYAML, with the
files as arguments.

The output is a list with one object for each file: `document`, `lines` (a key's path, joined by
slashes, to its line) and `error`, empty if the file could be read.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import yaml


class _Loader(yaml.SafeLoader):
    """Treats Compose's tags (!reset, !override) as the value they precede."""


def _untagged(loader: _Loader, _suffix: str, node: yaml.Node) -> Any:
    if isinstance(node, yaml.MappingNode):
        return loader.construct_mapping(node, deep=True)
    if isinstance(node, yaml.SequenceNode):
        return loader.construct_sequence(node, deep=True)
    assert isinstance(node, yaml.ScalarNode)  # noqa: S101  there is no fourth kind
    return loader.construct_scalar(node)


_Loader.add_multi_constructor("!", _untagged)


def read(path: str) -> dict[str, Any]:
    """Return document, lines and error of the file at `path`."""
    try:
        loader = _Loader(Path(path).read_text(encoding="utf-8"))
        node = loader.get_single_node()
        lines: dict[str, int] = {}
        _record(loader, node, "", lines)
        document = loader.construct_document(node) if node else None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        return {"document": None, "lines": {}, "error": str(error)}
    return {"document": document, "lines": lines, "error": ""}


def _record(loader: _Loader, node: Any, path: str, lines: dict[str, int]) -> None:
    """Record the line of every key below `node`; a merged key has the line of its source."""
    if isinstance(node, yaml.MappingNode):
        loader.flatten_mapping(node)
        for key, value in node.value:
            below = f"{path}/{key.value}".lstrip("/")
            lines[below] = key.start_mark.line + 1
            _record(loader, value, below, lines)
    elif isinstance(node, yaml.SequenceNode):
        for number, value in enumerate(node.value):
            lines[f"{path}/{number}"] = value.start_mark.line + 1
            _record(loader, value, f"{path}/{number}", lines)


if __name__ == "__main__":
    json.dump([read(path) for path in sys.argv[1:]], sys.stdout)
