"""Which fields hold personal data, and what replaces it in a masked copy of the database.

A model says it itself; PERSONAL_DATA in the settings says it of models from packages.

    class Customer(models.Model):
        email = models.EmailField(unique=True)
        notes = models.TextField(blank=True)

        personal_data = {"email": "email", "notes": "text"}
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from django.apps import apps
from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.core.checks import Error, register
from django.core.validators import EmailValidator
from django.db.models import Field, JSONField, Model

ATTRIBUTE = "personal_data"

_TEXTS = ("CharField", "SlugField", "TextField")
# Each mask, and the fields that it fits; none: any that may be empty.
MASKS: Mapping[str, Sequence[str]] = {
    "email": _TEXTS,
    "name": _TEXTS,
    "text": _TEXTS,
    "id": _TEXTS,
    "password": _TEXTS,
    "json": ("JSONField",),
    "date": ("DateField", "DateTimeField"),
    "empty": (),
    "keep": (),
}
# These replace different values by different ones.
_UNIQUE = ("email", "name", "id", "keep")


def declared(model: type[Model]) -> dict[str, str]:
    """Return the mask of each field of the model that was declared, by the field's name."""
    found: dict[str, str] = {}
    for base in reversed(model.__mro__):
        found |= vars(base).get(ATTRIBUTE, {})
    return found | settings.PERSONAL_DATA.get(model._meta.label, {})


def models() -> Iterator[type[Model]]:
    """Yield each model with a table."""
    for model in apps.get_models(include_auto_created=True):
        if not model._meta.proxy:
            yield model


def masked(model: type[Model]) -> Iterator[tuple[Field[Any, Any], str]]:
    """Yield the fields in the model's table that are to be masked, each with its mask."""
    masks = declared(model)
    for field in model._meta.local_concrete_fields:
        if (mask := masks.get(field.name, "keep")) != "keep":
            yield field, mask


@register
def personal_data_is_declared(app_configs: Sequence | None, **kwargs: Any) -> list[Error]:
    """Find e-mail fields without a declaration, and declarations that cannot be followed."""
    errors: list[Error] = []
    for model in models():
        masks = declared(model)
        errors += _undeclared(model, masks)
        for name, mask in masks.items():
            errors += _wrong(model, name, mask)
    for label in settings.PERSONAL_DATA:
        try:
            apps.get_model(label)
        except (LookupError, ValueError):
            errors.append(
                Error(
                    f"PERSONAL_DATA names {label}, and there is no such model.",
                    hint="Correct it in core/settings/base.py: 'app_label.Model'.",
                    id="core.E002",
                )
            )
    return errors


def _undeclared(model: type[Model], masks: Mapping[str, str]) -> Iterator[Error]:
    for field in model._meta.local_concrete_fields:
        if field.name not in masks and _holds_addresses(field):
            own = f"{ATTRIBUTE} = {{{field.name!r}: 'email'}}"
            packaged = f"PERSONAL_DATA[{model._meta.label!r}] = {{{field.name!r}: 'email'}}"
            yield Error(
                f"{model._meta.label}.{field.name} holds e-mail addresses, and is not declared as"
                " personal data: a masked copy of the database would show them.",
                hint=f"Add to the model: {own}; for a model of a package, to the settings:"
                f" {packaged}. Of addresses that are not a person's: 'keep'.",
                obj=field,
                id="core.E001",
            )


def _holds_addresses(field: Field[Any, Any]) -> bool:
    """Whether the field, those it is made of or the one that it refers to is for e-mail."""
    inner = getattr(field, "base_field", None) or getattr(field, "target_field", None)
    if inner is not None and inner is not field:
        return _holds_addresses(inner)
    by_name = field.get_internal_type() in _TEXTS and "email" in field.name.lower()
    return by_name or any(isinstance(one, EmailValidator) for one in field.validators)


def _wrong(model: type[Model], name: str, mask: str) -> Iterator[Error]:
    label = f"{ATTRIBUTE} of {model._meta.label}"
    field = {one.name: one for one in model._meta.concrete_fields}.get(name)
    if field is None:
        fault, hint = f"{label} names {name!r}, which is not a field.", "Correct or remove it."
    elif mask not in MASKS:
        fault, hint = f"{label}: {name!r} has no mask {mask!r}.", f"One of: {', '.join(MASKS)}."
    elif not _fits(_final(field), mask):
        fault = f"{label}: the mask {mask!r} does not fit the field {name!r}."
        hint = f"Another of: {', '.join(MASKS)}."
    elif _is_unique(field) and mask not in _UNIQUE:
        fault = f"{label}: the mask {mask!r} gives rows of {name!r} the same value."
        hint = f"The field is unique; one of: {', '.join(_UNIQUE)}."
    else:
        return
    yield Error(fault, hint=hint, obj=field or model, id="core.E003")


def _final(field: Field[Any, Any]) -> Field[Any, Any]:
    """Return the field whose values this one has: of a foreign key, the one it refers to."""
    target = getattr(field, "target_field", None)
    return field if target is None or target is field else _final(target)


def _fits(field: Field[Any, Any], mask: str) -> bool:
    if mask == "empty":
        may_be = field.empty_strings_allowed or isinstance(field, (ArrayField, JSONField))
        return field.null or may_be
    kinds = MASKS[mask]
    parents = [getattr(one, "__name__", "") for one in type(field).__mro__]
    return not kinds or any(kind in parents for kind in kinds)


def _is_unique(field: Field[Any, Any]) -> bool:
    together = field.model._meta.unique_together
    constraints = field.model._meta.total_unique_constraints
    named = [*together, *(one.fields for one in constraints)]
    return field.unique or any(field.name in names for names in named)
