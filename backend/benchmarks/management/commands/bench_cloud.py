"""What AWS costs a request and a start: all measured in this one run, against moto_server.

./dev manage bench_cloud
"""

from __future__ import annotations

import json
import os
import re
import resource
import statistics
import subprocess
import sys
import threading
import time
from argparse import ArgumentParser
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer

import botocore.session
import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from django.core.management.base import BaseCommand, CommandError

from cloud.cognito import ALGORITHM, TENANT, UserPool

POOL, CLIENT = "eu-west-1_Ab1Cd2Ef3", "7lhlkkfbfb4q5kpp90urffao"
PATH = "/homeport/bench"
PARAMETERS = 15  # two pages
VERIFICATIONS = 500  # of each round
START = "import core.wsgi"  # what Gunicorn loads before it forks
GOAL_VERIFY, GOAL_START = 0.5, 150  # milliseconds


class Command(BaseCommand):
    help = "Measure what verifying a token and reading parameters at the start cost."
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--rounds", type=int, default=15, help="of each measurement")

    def handle(self, *args, rounds: int, **options) -> None:
        self.stdout.write(f"{'milliseconds':44}{'MEDIAN':>9}{'LEAST':>9}{'MOST':>9}{'GOAL':>9}")
        with published_key() as key:
            verify = self.verification(key)
            self.row("verify a token, key known", [verify() for _ in range(rounds)], GOAL_VERIFY)
        with moto_server() as url:
            self.starts(url, rounds)

    def verification(self, key: rsa.RSAPrivateKey) -> Callable[[], float]:
        """Return a function that verifies many times, and returns the milliseconds of one."""
        pool, now = UserPool(POOL, CLIENT), int(time.time())
        claims = {
            "iss": pool.issuer,
            "aud": CLIENT,
            "sub": "11111111-2222-3333-4444-555555555555",
            "token_use": "id",
            "iat": now,
            "exp": now + 3600,
            "email": "customer@test1.example.com",
            "email_verified": True,
            "cognito:groups": ["customer"],
            TENANT: "test1",
        }
        token = jwt.encode(claims, key, ALGORITHM, headers={"kid": "bench"})
        pool.verify(token)  # fetches the key

        def verify() -> float:
            began = time.process_time()  # nothing is waited for
            for _ in range(VERIFICATIONS):
                pool.verify(token)
            return (time.process_time() - began) * 1000 / VERIFICATIONS

        return verify

    def starts(self, url: str, rounds: int) -> None:
        os.environ.update(
            AWS_ENDPOINT_URL=url,
            AWS_DEFAULT_REGION="eu-west-1",
            AWS_ACCESS_KEY_ID="test",
            AWS_SECRET_ACCESS_KEY="test",  # noqa: S106  the emulator's
        )
        # Patient: the first question makes moto load the service.
        ssm = botocore.session.get_session().create_client("ssm")
        for number in range(PARAMETERS - 1):
            ssm.put_parameter(Name=f"{PATH}/BENCH_{number}", Value="x", Type="String")
        ssm.put_parameter(Name=f"{PATH}/SECRET_KEY", Value="s" * 50, Type="SecureString")
        # In turn, so that both meet the same machine.
        pairs = [(start_with(""), start_with(PATH)) for _ in range(rounds + 1)][1:]
        without, store = zip(*pairs, strict=True)
        self.row("start without a store", [took.elapsed for took in without])
        self.row(f"start with {PARAMETERS} parameters", [took.elapsed for took in store])
        added = [with_store.elapsed - plain.elapsed for plain, with_store in pairs]
        self.row("  the store adds", added, GOAL_START)
        # Beside other work the clock says little; the processor's least is what it takes.
        plain = min(took.processor for took in without)
        least = min(took.processor for took in store) - plain
        self.row(f"  of processor time, beside {plain:.0f}", [least], GOAL_START)

    def row(self, name: str, values: Sequence[float], goal: float | None = None) -> None:
        digits = 3 if max(values) < 10 else 0
        numbers = (statistics.median(values), min(values), max(values))
        shown = "".join(f"{number:9.{digits}f}" for number in numbers)
        self.stdout.write(f"{name:44}{shown}{'' if goal is None else f'{goal:9}'}")
        self.stdout.flush()


@dataclass(frozen=True)
class Took:
    """Milliseconds that a process took, on the clock and of the processor."""

    elapsed: float
    processor: float


def start_with(path: str) -> Took:
    """Measure a process that loads the application and ends."""
    variables = {name: value for name, value in os.environ.items() if "SSM_PARAM" not in name}
    began, used = time.perf_counter(), processor_of_children()
    ended = subprocess.run(
        [sys.executable, "-c", START],
        env=variables | {"SSM_PARAMETER_PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    if ended.returncode:
        raise CommandError(f"the application does not start:\n{ended.stderr}")
    return Took((time.perf_counter() - began) * 1000, processor_of_children() - used)


def processor_of_children() -> float:
    """Return the milliseconds of processor time of all processes that ended below this one."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (usage.ru_utime + usage.ru_stime) * 1000


@contextmanager
def moto_server() -> Iterator[str]:
    """Run a separate emulator, independent of the stack's; yield its URL."""
    with subprocess.Popen(
        [sys.executable, "-m", "moto.server", "--host", "127.0.0.1", "--port", "0"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        said = ""
        for line in process.stderr:
            said += line
            if found := re.search(r"Running on (http://[\d.]+:\d+)", line):
                # It logs every request; a full pipe would stop it.
                threading.Thread(target=process.stderr.read, daemon=True).start()
                yield found[1]
                break
        else:
            raise CommandError(
                f"moto_server does not start; the production image has none:\n{said}"
            )
        process.terminate()


@contextmanager
def published_key() -> Iterator[rsa.RSAPrivateKey]:
    """Publish a key like Cognito; yield its private half."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public = jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
    document = json.dumps({"keys": [{**public, "kid": "bench", "use": "sig"}]}).encode()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(document)

        def log_message(self, *args: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        os.environ["AWS_ENDPOINT_URL_COGNITO_IDENTITY_PROVIDER"] = url
        yield key
        del os.environ["AWS_ENDPOINT_URL_COGNITO_IDENTITY_PROVIDER"]
        server.shutdown()
