"""What tests do with the pages of the admin."""

from typing import Any

from django.contrib import admin
from django.db import connection, models
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse


class AdminClient(Client):
    """A browser of a superuser; a request leaves the test in the tenant it was in."""

    def request(self, **kwargs: Any) -> HttpResponse:
        tenant = connection.tenant
        response = super().request(**kwargs)
        connection.set_tenant(tenant)
        return response


def address_of(model: type[models.Model], page: str, *arguments: object) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}", args=arguments)


def models_of(*labels: str) -> list[type[models.Model]]:
    """Return what the admin manages of these applications."""
    return [model for model in admin.site._registry if model._meta.app_label in labels]


def name_of(value: object) -> str:
    """Return the name of a test's parameter."""
    return value._meta.label_lower if isinstance(value, type) else ""


def act(client: Client, model: type[models.Model], action: str, *rows: models.Model) -> Any:
    """Run an action on the rows that are chosen in a list."""
    chosen = {"action": action, "_selected_action": [row.pk for row in rows]}
    return client.post(address_of(model, "changelist"), chosen, follow=True)


class AdminPages:
    """The tests of every model's pages. A subclass names the models, and has a fixture `things`."""

    def test_a_model_is_listed_searched_and_filtered(self, office, things, model):
        address = address_of(model, "changelist")

        assert admin.site.get_model_admin(model).search_fields
        for query in ("", "?q=x", "?q=%00", "?o=1"):
            assert office.get(address + query, follow=True).status_code == 200
        page = office.get(address)
        for name in page.context["cl"].filter_specs:
            for choice in name.choices(page.context["cl"]):
                assert office.get(address + choice["query_string"]).status_code == 200

    def test_a_list_takes_as_many_queries_for_three_rows_as_for_one(
        self, office, things, model, django_assert_max_num_queries
    ):
        with django_assert_max_num_queries(10):
            office.get(address_of(model, "changelist"))

    def test_a_row_is_opened(self, office, things, model):
        address = address_of(model, "change", model.objects.first().pk)
        assert office.get(address).status_code == 200
