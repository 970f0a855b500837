"""Personal data is declared: what a check finds, and what a mask makes of a value."""

from __future__ import annotations

import json
from typing import cast

import pytest
from django.contrib.postgres.fields import ArrayField
from django.core.management import CommandError, call_command
from django.core.management.base import SystemCheckError
from django.db import connection, models
from django.test.utils import isolate_apps
from psycopg.sql import SQL, Literal

from core import personal_data
from development import masking


def model(name: str, *parents: type, **fields: object) -> type[models.Model]:
    meta = type("Meta", (), {"app_label": "core"})
    made = {"__module__": __name__, "Meta": meta, **fields}
    return cast("type[models.Model]", type(name, (*parents, models.Model), made))


def found(monkeypatch, *made: type[models.Model]) -> list[tuple[str, str, str]]:
    """Return what the check finds in these models."""
    monkeypatch.setattr(personal_data, "models", lambda: made)
    return [(e.id, e.msg, e.hint) for e in personal_data.personal_data_is_declared(None)]


def test_the_models_here_have_no_findings():
    assert personal_data.personal_data_is_declared(None) == []


@isolate_apps("core")
def test_an_undeclared_e_mail_field_is_found_with_its_fix(monkeypatch):
    customer = model(
        "Customer",
        address=models.EmailField(primary_key=True),
        email_of_office=models.CharField(max_length=100),
        others=ArrayField(models.EmailField()),
        is_email_confirmed=models.BooleanField(),
    )
    order = model("Order", customer=models.ForeignKey(customer, models.CASCADE))
    errors = found(monkeypatch, customer, order)
    assert [(key, text.split()[0]) for key, text, _ in errors] == [
        ("core.E001", "core.Customer.address"),
        ("core.E001", "core.Customer.email_of_office"),
        ("core.E001", "core.Customer.others"),
        ("core.E001", "core.Order.customer"),
    ]
    assert "Add to the model: personal_data = {'address': 'email'}" in errors[0][2]
    assert "PERSONAL_DATA['core.Customer'] = {'address': 'email'}" in errors[0][2]


@isolate_apps("core")
def test_a_declaration_is_followed_wherever_it_stands(monkeypatch, settings):
    parent = type("Contact", (), {"personal_data": {"email": "email"}})
    customer = model(
        "Customer",
        parent,
        email=models.EmailField(),
        other_email=models.EmailField(),
        personal_data={"other_email": "keep"},
    )
    assert found(monkeypatch, customer) == []
    settings.PERSONAL_DATA = {"core.Customer": {"other_email": "email"}}
    assert personal_data.declared(customer) == {"email": "email", "other_email": "email"}


@isolate_apps("core")
def test_a_declaration_that_cannot_be_followed_is_found(monkeypatch, settings):
    customer = model(
        "Customer",
        phone=models.CharField(max_length=30, unique=True),
        age=models.IntegerField(),
        personal_data={"name": "name", "phone": "text", "age": "empty"},
    )
    settings.PERSONAL_DATA = {"core.Gone": {}}
    names, unique, unfit, gone = found(monkeypatch, customer)
    assert "'name', which is not a field" in names[1]
    assert "gives rows of 'phone' the same value" in unique[1]
    assert "'empty' does not fit the field 'age'" in unfit[1]
    assert "core.Gone" in gone[1]


def test_an_undeclared_field_prevents_a_masked_copy(monkeypatch, settings):
    settings.PERSONAL_DATA = {}
    monkeypatch.setattr("users.models.User.personal_data", {})
    with pytest.raises(SystemCheckError, match=r"users\.User\.email holds e-mail addresses"):
        call_command("sqlmask", skip_checks=False)


@pytest.mark.parametrize(
    ("mask", "before", "after"),
    [
        ("text", "Flat 12, 5 Rue de l'Été", "xxxx 00, 0 xxx xx x'xxx"),
        ("text", "", ""),
        ("date", "1984-11-27", "1984-01-01"),
        (
            "json",
            {"to": "Ann", "at": [1, "x@y.z"], "ok": True, "none": None},
            {"to": "x", "at": [0, "x"], "ok": True, "none": None},
        ),
        ("empty", "Ann", ""),
    ],
)
@pytest.mark.django_db
def test_a_mask_keeps_the_shape(mask, before, after):
    field: models.Field = models.CharField(max_length=100)
    value, kind = before, "text"
    if mask == "json":
        field, value, kind = models.JSONField(), json.dumps(before), "jsonb"
    if mask == "date":
        field, kind = models.DateField(), "date"
    field.set_attributes_from_name("found")
    with connection.cursor() as cursor:
        cursor.execute(masking.FUNCTIONS)
        shown = SQL("SELECT {}::{} FROM (SELECT {}::{} AS found) AS one").format(
            masking.value(field, mask), SQL(kind), Literal(value), SQL(kind)
        )
        cursor.execute(shown)
        (masked,) = cursor.fetchone()
    assert (json.loads(masked) if mask == "json" else str(masked)) == after


@pytest.mark.django_db
def test_what_no_model_describes_prevents_a_masked_copy():
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE public.imported (address text)")
    with pytest.raises(CommandError, match=r"public\.imported"):
        call_command("sqlmask")
