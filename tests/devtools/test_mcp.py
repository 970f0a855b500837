"""`./dev mcp`: which tools there are, and what they refuse and hide."""

from __future__ import annotations

import json

import pytest
from embedded_checkout import EmbeddedCheckout
from protocol_client import Client, talk

from devtools.errors import DevError
from devtools.mcp import answers
from devtools.mcp.expressions import must_only_look
from devtools.mcp.tools import Tools


@pytest.fixture
def checkout(tmp_path, venv):
    """A checkout without a running stack."""
    return EmbeddedCheckout.make(tmp_path / "checkout", venv)


def test_a_client_sees_the_tools_and_what_they_refuse(checkout):
    async def conversation(client: Client) -> None:
        found = await client.tools()
        assert set(found) == {*Tools.READ, *Tools.ACT}
        assert all(tool.description for tool in found.values())
        assert found["sql"].annotations.read_only_hint
        assert not found["up"].annotations.read_only_hint
        assert (await client.call("status"))["state"] == "down"
        refused = {
            "not allowed: it deletes": ("request", {"method": "DELETE", "path": "/"}),
            "'flush' is not allowed": ("manage", {"command": ["flush"]}),
            "add --plan": ("manage", {"command": ["migrate"]}),
            "is not passed on": ("manage", {"command": ["check", "--settings=x"]}),
            "is no id of": ("trace", {"of": "--json"}),
            "not options": ("tests", {"which": ["--cov"]}),
            "nothing is being debugged": ("debug_where", {}),
            "choose one of: db": ("logs", {"service": "nowhere"}),
        }
        for said, (tool, arguments) in refused.items():
            assert said in await client.refusal(tool, **arguments)

    talk(checkout, conversation)


def test_what_the_person_allows_is_marked_and_done(checkout):
    async def conversation(client: Client) -> None:
        found = await client.tools()
        marked = {name for name, tool in found.items() if tool.annotations.destructive_hint}
        assert marked == set(Tools.FREED)
        assert not found["debug_evaluate"].annotations.read_only_hint
        # It gets as far as the stack, which does not run.
        assert "web is not up" in await client.refusal("request", method="DELETE", path="/")
        said = await client.refusal("debug_evaluate", expression="rows.delete()")
        assert "nothing is being debugged" in said

    talk(checkout, conversation, "--allow-changes")


@pytest.mark.parametrize(
    "expression",
    ["user", "order.items[0].price * 2", "len([x for x in rows if x])", "Product.objects.count()"],
)
def test_an_expression_that_looks_is_evaluated(expression):
    must_only_look(expression)


@pytest.mark.parametrize(
    "expression",
    [
        *("rows.delete()", "open('/etc/passwd')", "__import__('os').system('ls')", "x = 1"),
        *("(rows := 1)", "exec('1')", "(lambda: rows.delete())()", "[f() for f in rows]"),
        *("getattr(rows, 'delete')()", "rows.filter(pk=1).update(a=1)", "f'{open(1)}'"),
        "sorted(rows, key=rows.remove)",
    ],
)
def test_an_expression_that_may_change_something_is_refused(expression):
    with pytest.raises(DevError):
        must_only_look(expression)


@pytest.mark.parametrize(
    ("shown", "hidden"),
    [
        ({"password": "swordfish"}, "swordfish"),
        ({"Authorization": "Bearer abc.def"}, "abc.def"),
        ({"locals": {"api_key": "'swordfish'"}}, "swordfish"),
        ("postgresql://app:swordfish@localhost/db", "swordfish"),
        ("pbkdf2_sha256$600000$salt$hash=", "hash"),
        ("token eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln", "eyJzdWI"),
        ("{'password': 'swordfish', 'a': 1}", "swordfish"),
        ("POST password=swordfish&x=1", "swordfish"),
    ],
    ids=str,
)
def test_secrets_are_masked(shown, hidden):
    found = json.dumps(answers.masked(shown))
    assert hidden not in found
    assert answers.HIDDEN in found


def test_secret_columns_are_masked():
    assert answers.masked_rows(["email", "password"], [["a@b.c", "x"]]) == [
        ["a@b.c", answers.HIDDEN]
    ]


@pytest.mark.parametrize("value", ["x" * 99_999, ["x" * 999] * 49, list(range(9999))])
def test_an_answer_is_bounded_and_says_so(value):
    found = json.dumps(answers.bounded(value))
    assert len(found) < 2 * answers.LARGEST
    assert "left" in found or "more" in found
