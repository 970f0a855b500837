"""Which expressions a debugged process may evaluate: those that only look."""

from __future__ import annotations

import ast

from ..errors import DevError

_FUNCTIONS = {
    *("abs", "all", "any", "bool", "dict", "dir", "enumerate", "float", "getattr", "hasattr"),
    *("int", "isinstance", "len", "list", "max", "min", "range", "repr", "round", "set"),
    *("sorted", "str", "sum", "tuple", "type", "vars", "zip"),
}
_METHODS = {
    *("all", "count", "exclude", "exists", "explain", "filter", "first", "get", "last"),
    *("order_by", "select_related", "values", "values_list", "items", "keys", "endswith"),
    *("isoformat", "join", "lower", "split", "splitlines", "startswith", "strip", "upper"),
}
_REFUSED = (ast.NamedExpr, ast.Await, ast.Yield, ast.YieldFrom, ast.Lambda)


def must_only_look(expression: str) -> None:
    """Raise DevError if `expression` may change something: other calls than known ones."""
    try:
        tree = ast.parse(expression.strip(), mode="eval")
    except SyntaxError as error:
        raise DevError(f"this is not an expression: {error.msg}") from error
    for node in ast.walk(tree):
        if isinstance(node, _REFUSED) or (isinstance(node, ast.Call) and not _looks(node)):
            raise DevError(
                f"only expressions that look are evaluated, not `{ast.unparse(node)}`",
                "read names, attributes and items; or the person starts: ./dev mcp --allow-changes",
            )


def _looks(call: ast.Call) -> bool:
    if any(one.arg == "key" for one in call.keywords):  # sorted would call it
        return False
    if isinstance(call.func, ast.Name):
        return call.func.id in _FUNCTIONS
    return isinstance(call.func, ast.Attribute) and call.func.attr in _METHODS
