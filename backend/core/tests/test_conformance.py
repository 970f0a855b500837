"""Every operation keeps to its schema, for generated requests.

An application makes what they ask for in `make_example` of its tests/factories.py.
"""

from importlib import import_module
from importlib.util import find_spec

import pytest
import schemathesis
from django.conf import settings as django_settings
from django.core.signals import request_finished, request_started
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections
from django_tenants.utils import schema_context
from drf_spectacular.generators import SchemaGenerator
from hypothesis import HealthCheck, Phase, settings
from rest_framework.throttling import SimpleRateThrottle
from schemathesis.core import NotSet
from schemathesis.specs.openapi.checks import positive_data_acceptance

from users.tokens import AccessToken

THERE = 1_000_000  # the id of one thing of each kind, beyond what a test makes

api = schemathesis.openapi.from_dict(SchemaGenerator().get_schema(public=True))
# Not core.wsgi, which would limit the sessions of all tests as those of web.
api.app = get_wsgi_application()


@api.hook
def map_path_parameters(context, path_parameters):
    """Ask for what is there as often as for what is not."""
    if path_parameters and isinstance(path_parameters.get("id"), int):
        return {"id": THERE if path_parameters["id"] % 2 else path_parameters["id"]}
    return path_parameters


@api.hook
def filter_case(context, case):
    """Leave out what a form cannot express: a boolean as its body has no field, like an empty form,
    and that is right where every field may be left out."""
    is_form = "form" in (case.media_type or "")
    return not is_form or isinstance(case.body, dict | NotSet)


@pytest.fixture
def _one_transaction():
    """Keep requests from closing the connection, and with it the test's transaction."""
    signals = (request_started, request_finished)
    for signal in signals:
        signal.disconnect(close_old_connections)
    yield
    for signal in signals:
        signal.connect(close_old_connections)


@pytest.fixture
def site(_one_transaction, ann, media, empty_cache, worker_heard_from, monkeypatch):
    """A site where something of each kind is there, and is Ann's, and nothing is down."""
    # Here how much is asked says nothing about who asks.
    monkeypatch.setattr(SimpleRateThrottle, "allow_request", lambda *args: True)
    for app in django_settings.PRODUCT_APPS:
        if find_spec(f"{app}.tests.factories"):
            import_module(f"{app}.tests.factories").make_example(ann, THERE)


@api.parametrize()
@settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_an_operation_keeps_to_its_schema(case, site, ann):
    with schema_context("test1"):  # the request before may have left the tenant, or logged out
        token = AccessToken.for_user(ann)
    case.call_and_validate(
        headers={"Authorization": f"Bearer {token}"},
        # No schema can say which password is weak, or what the bytes of an image are.
        excluded_checks=[positive_data_acceptance],
    )
