"""Data of another database comes over by Django's own dumpdata and loaddata."""

import json
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from django.conf import global_settings
from django.core.management import call_command
from django_tenants.utils import schema_context

from products.models import Product
from tickets.models import Ticket
from users.models import User

pytestmark = pytest.mark.django_db

BACKEND = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _djangos_own_hashers(settings):
    settings.PASSWORD_HASHERS = global_settings.PASSWORD_HASHERS


def dump_of(directory: Path, user_model: str) -> Path:
    """Return what `dumpdata` writes in a real project on SQLite."""
    path = directory / "dump.json"
    subprocess.run(
        [
            *(sys.executable, "-m", "demo.tests.sqlite_project"),
            *(directory / "db.sqlite3", path, user_model),
        ],
        cwd=BACKEND,
        check=True,
        timeout=60,
    )
    return path


@pytest.fixture
def dump(tmp_path) -> Path:
    return dump_of(tmp_path, "users.User")


def test_a_sqlite_projects_dump_is_loaded_into_a_tenant(dump, empty_cache):
    assert len(json.loads(dump.read_text())) >= 5
    with schema_context("test1"):
        call_command("loaddata", dump, verbosity=0)

        ann = User.objects.get(email="ann@example.com")
        assert ann.check_password("correct horse battery staple")
        sam = User.objects.get(email="sam@example.com")
        assert sam.first_name == "Sämi"
        assert sam.has_perm("tickets.change_ticket")
        ticket = Ticket.objects.get(subject="Broken 杯")
        assert ticket.status == "answered"
        assert [message.author for message in ticket.messages.all()] == [ann, sam]
    with schema_context("test2"):
        assert not User.objects.exists()


def test_djangos_own_users_come_over_as_the_documentation_says(tmp_path):
    dump = dump_of(tmp_path, "auth.User")
    documentation = (BACKEND.parent / "docs" / "moving-in.md").read_text()
    blocks = re.findall(r"^ *```python\n(.*?)^ *```", documentation, re.S | re.M)
    (recipe,) = (textwrap.dedent(block) for block in blocks if "dump.json" in block)
    subprocess.run([sys.executable, "-c", recipe], cwd=tmp_path, check=True, timeout=60)
    with schema_context("test1"):
        call_command("loaddata", dump, verbosity=0)
        ann = User.objects.get(email="ann@example.com")
        assert ann.check_password("correct horse battery staple")
        assert Ticket.objects.get(subject="Of ann").user == ann
        assert Ticket.objects.get(subject="Of bob").user.email == "bob@accounts.invalid"


def test_rows_made_afterwards_get_ids_of_their_own(dump, empty_cache):
    with schema_context("test1"):
        call_command("loaddata", dump, verbosity=0)
        new = User.objects.create_user("new@example.com")
        assert new.pk > User.objects.exclude(pk=new.pk).order_by("pk").last().pk


def test_a_fixture_is_loaded_and_dumped_again(empty_cache, tmp_path):
    with schema_context("test2"):
        call_command("loaddata", "products", verbosity=0)
        assert Product.objects.get(search="mugs").sku == "MUG-BLUE"

        path = tmp_path / "products.json"
        call_command("dumpdata", "products", output=str(path), verbosity=0)
    with schema_context("test1"):
        call_command("loaddata", path, verbosity=0)
        assert str(Product.objects.get(search="mugs").price) == "12.50"
