"""What tenancy costs: a table of ratios, all measured in this one run."""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from json import dumps
from pathlib import Path

import psycopg
import structlog
from django.conf import settings
from django.core.handlers.wsgi import WSGIHandler
from django.core.management import call_command
from django.core.management.base import BaseCommand
from django.db import ProgrammingError, connection, connections
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory, override_settings
from django.urls import path
from django_tenants.utils import schema_context

from tenants.locks import MAINTENANCE_DATABASE
from tenants.migration import migrate, migrations_on_disk, stamp
from tenants.models import Tenant
from tenants.names import role_of
from tenants.release import release
from tenants.services import create_tenant
from users.models import User

DATABASE = "homeport_bench"
ROUNDS, REQUESTS = 7, 400
NEW_MIGRATION = """
from django.db import migrations, models
class Migration(migrations.Migration):
    dependencies = [("users", "{before}")]
    operations = [
        migrations.AddField("user", "{field}", models.CharField(max_length=20, default="")),
        migrations.AddIndex("user", models.Index(fields=["{field}"], name="{field}_index")),
    ]
"""


def with_tenancy(request: HttpRequest) -> HttpResponse:
    return HttpResponse(User.objects.get(pk=1).email)


def without_tenancy(request: HttpRequest) -> HttpResponse:
    return HttpResponse(User.objects.using("plain").get(pk=1).email)


urlpatterns = [path("with/", with_tenancy), path("without/", without_tenancy)]


class Command(BaseCommand):
    help = "Measure tenancy in a scratch database, which is removed at the end."
    requires_system_checks = []

    def add_arguments(self, parser) -> None:
        parser.add_argument("--tenants", type=int, nargs="+", default=[2, 100, 500])
        parser.add_argument("--migrate-at", type=int, default=100)
        parser.add_argument("--json", action="store_true", help="for programs, as ./dev bench")

    def handle(self, *, tenants, migrate_at, json, **options) -> None:
        self.figures: list[dict] | None = [] if json else None
        settings.DEBUG = False  # it would keep every query
        structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
        with scratch_database(), tempfile.TemporaryDirectory() as folder:
            release()
            for count in sorted(tenants):
                made = create_up_to(count)
                self.say(f"create one tenant, on the way to {count}", made * 1000, "ms")
                if count == min(tenants):
                    self.requests()
                if count == migrate_at:
                    self.migration(Path(folder), count)
                self.say(f"release with nothing to do, {count} tenants", seconds(release), "s", 1)
                self.sizes(count)
        if json:
            self.stdout.write(dumps(self.figures))

    def requests(self) -> None:
        plain, tenancy = request_cost()
        self.say("request without tenancy, p50", plain * 1000, "ms")
        self.say("request with tenancy, p50", tenancy * 1000, "ms")
        self.say("  tenancy adds", (tenancy - plain) * 1000, "ms")
        self.say("  times as long", tenancy / plain, "x")

    def migration(self, folder: Path, count: int) -> None:
        sys.path.insert(0, str(folder))
        add_migration(folder, "0001_initial", "0002_own", "own_field")
        own = seconds(release)
        add_migration(folder, "0002_own", "0003_stock", "stock_field")
        migrate("public")
        stock = seconds(lambda: call_command("migrate_schemas", tenant=True, verbosity=0))
        release()
        self.say(f"one new migration, {count} tenants", own, "s")
        self.say("  by django-tenants' command", stock, "s")
        self.say("  ours over theirs", own / stock, "x", 1)

    def sizes(self, count: int) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_database_size(current_database())")
            size = cursor.fetchone()[0]
        self.say(f"database, {count} empty tenants", size / 2**20, "MiB")
        self.say(f"backend that saw all tables of {count}", backend_memory(), "MiB")

    def say(self, what: str, result: float | None, unit: str, goal: float | None = None) -> None:
        """Show one figure, or keep it for the end; None was not measured."""
        values = [] if result is None else [result]
        if self.figures is not None:
            self.figures.append({"name": what, "unit": unit, "goal": goal, "values": values})
            return
        shown = f"{result:.3g} {unit}" if values else "not measured; log in as a superuser"
        self.stdout.write(f"{what:<48}{shown}")
        self.stdout.flush()


def seconds(work: Callable[[], object]) -> float:
    """Return how long it took."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def create_up_to(count: int) -> float:
    """Create tenants until there are so many; return the median seconds of the last ten."""
    existing = Tenant.objects.count()
    names = [f"bench{number:04}" for number in range(existing, count)]
    took = [seconds(lambda name=name: create_tenant(name)) for name in names]
    return statistics.median(took[-10:])


def request_cost() -> tuple[float, float]:
    """Return the median seconds of a request without and with tenancy, rounds interleaved."""
    name = Tenant.objects.first().schema_name
    with schema_context(name):
        User.objects.create(pk=1, email="ann@example.com")
    place = connections.settings["default"] | {
        "ENGINE": "django.db.backends.postgresql",
        "OPTIONS": {"options": f"-c search_path={name}"},
    }
    connections.settings["plain"] = place
    asked = {
        "without": handler([]),
        "with": handler(["tenants.middleware.TenantMiddleware"]),
    }
    took: dict[str, list[float]] = {"without": [], "with": []}
    for _ in range(ROUNDS):
        for kind, serve in asked.items():
            environ = RequestFactory(headers={"host": f"{name}.localhost"}).get(f"/{kind}/").environ
            took[kind] += [seconds(lambda s=serve, e=environ: s(dict(e))) for _ in range(REQUESTS)]
    connections["plain"].close()
    return statistics.median(took["without"]), statistics.median(took["with"])


def handler(middleware: list[str]) -> Callable[[dict], None]:
    """Return a function that serves one WSGI request with this middleware."""
    chosen = {"MIDDLEWARE": middleware, "ROOT_URLCONF": __name__}
    with override_settings(**chosen):
        application = WSGIHandler()

    def serve(environ: dict) -> None:
        response = application(environ, lambda status, headers: None)
        assert response.status_code == 200, "the bench's own view failed"  # noqa: S101
        response.close()

    settings.ROOT_URLCONF = __name__
    return serve


def backend_memory() -> float | None:
    """Return the MiB that a connection holds after it has seen every table of every tenant.

    None where this login may not look.
    """
    connection.close()
    try:
        with connection.cursor() as cursor:
            cursor.execute(
                """SELECT format('SELECT FROM %I.%I LIMIT 0', schemaname, tablename)
                   FROM pg_tables WHERE schemaname LIKE 'bench____'"""
            )
            for (statement,) in cursor.fetchall():
                cursor.execute(statement)
            cursor.execute("SELECT sum(total_bytes) FROM pg_backend_memory_contexts")
            return float(cursor.fetchone()[0]) / 2**20
    except ProgrammingError:
        return None
    finally:
        connection.close()


def add_migration(folder: Path, before: str, name: str, field: str) -> None:
    """Let the app users have one more migration."""
    package = folder / "bench_migrations"
    package.mkdir(exist_ok=True)
    (package / "__init__.py").touch()
    first = Path(sys.modules["users"].__file__).parent / "migrations" / "0001_initial.py"
    (package / "0001_initial.py").write_text(first.read_text())
    (package / f"{name}.py").write_text(NEW_MIGRATION.format(before=before, field=field))
    for module in [known for known in sys.modules if known.startswith("bench_migrations")]:
        del sys.modules[module]
    settings.MIGRATION_MODULES = {"users": "bench_migrations"}
    for remembered in (migrations_on_disk, stamp):
        remembered.cache_clear()


@contextmanager
def scratch_database() -> Iterator[None]:
    """Work in a scratch database; remove it and the roles of its tenants at the end."""
    params = connection.get_connection_params() | {"dbname": MAINTENANCE_DATABASE}
    with psycopg.connect(**params, autocommit=True) as maintenance:
        maintenance.execute(f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)")
        maintenance.execute(f"CREATE DATABASE {DATABASE}")
        connection.close()
        connection.settings_dict["NAME"] = DATABASE
        try:
            yield
        finally:
            connection.close()
            maintenance.execute(f"DROP DATABASE {DATABASE} WITH (FORCE)")
            roles = maintenance.execute(
                "SELECT rolname::text FROM pg_roles WHERE rolname LIKE %s", [role_of("bench____")]
            ).fetchall()
            for (role,) in roles:
                maintenance.execute(f'DROP ROLE "{role}"')
