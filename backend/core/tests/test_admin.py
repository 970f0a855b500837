"""Every model can be managed, where its table is."""

from types import ModuleType

import pytest
from django.contrib import admin
from django.urls import path
from django_tenants.utils import schema_context

from core.tests.admin_pages import AdminClient, AdminPages, address_of, models_of, name_of
from development.notes.models import Note
from development.notes.tests.factories import make_note
from tenants.models import Tenant
from users.models import CognitoIdentity, User
from users.tokens import RefreshToken

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("model", models_of("users", "notes"), ids=name_of)
class TestPages(AdminPages):
    @pytest.fixture
    def things(self, ann):
        """Three rows of every kind."""
        for number in range(3):
            make_note(ann)
            RefreshToken.for_user(ann)
            person = User.objects.create_user(f"person{number}@example.com")
            CognitoIdentity.objects.create(user=person, subject=f"sub-{number}")


def test_its_heading_is_the_products_title(site, settings):
    title = settings.SPECTACULAR_SETTINGS["TITLE"]
    assert f"{title} administration" in site.get("/admin/login/").content.decode()


# --- the operators' site ------------------------------------------------------------------


@pytest.fixture
def operations(empty_cache):
    """A browser of a superuser of the operators."""
    client = AdminClient(headers={"host": "public.localhost"})
    with schema_context("public"):
        client.force_login(User.objects.create_superuser("root@example.com"))
    return client


def test_the_operators_admin_has_accounts_and_nothing_of_tenants(operations):
    client = operations
    root = User.objects.get()
    page = client.get("/admin/").content.decode()

    assert "/admin/users/user/" in page
    assert "/admin/notes/" not in page
    assert client.get("/admin/notes/note/").status_code == 403
    # Looking for what would go with the account would meet tables that are not there.
    assert client.get(f"/admin/users/user/{root.pk}/delete/").status_code == 403


@pytest.fixture
def register(settings):
    """Return a function that serves a site with ordinary ModelAdmins, as `admin.site` is one."""

    def as_usual(*models, **attributes):
        site = type(admin.site._wrapped)()
        site.register(models, type("Usual", (admin.ModelAdmin,), attributes))
        settings.ROOT_URLCONF = ModuleType("urls")
        settings.ROOT_URLCONF.urlpatterns = [path("admin/", site.urls)]

    return as_usual


def test_an_ordinary_modeladmin_is_shown_where_its_table_is(operations, office, register):
    register(Note, Tenant)
    for model in (Note, Tenant):
        list_, add = address_of(model, "changelist"), address_of(model, "add")
        here, elsewhere = (office, operations) if model is Note else (operations, office)
        assert list_ in here.get("/admin/").content.decode()
        assert {here.get(page).status_code for page in (list_, add)} == {200}
        assert list_ not in elsewhere.get("/admin/").content.decode()
        assert {elsewhere.get(page).status_code for page in (list_, add)} == {403}


def test_an_inline_is_shown_where_its_table_is(operations, office, register):
    register(User, inlines=[type("Notes", (admin.TabularInline,), {"model": Note})])
    for client, has_notes in ((operations, False), (office, True)):
        with schema_context("test1" if has_notes else "public"):
            address = address_of(User, "change", User.objects.get().pk)
        page = client.get(address)
        assert page.status_code == 200
        formsets = page.context["inline_admin_formsets"]
        assert [formset.opts.model for formset in formsets] == [Note] * has_notes


def test_nothing_is_deleted_where_its_dependents_cannot_be_found(operations, office, register):
    register(User)
    for client, schema, status in ((operations, "public", 403), (office, "test1", 200)):
        with schema_context(schema):
            address = address_of(User, "delete", User.objects.get().pk)
        assert client.get(address).status_code == status
