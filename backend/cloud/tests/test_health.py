"""A lost bucket is reported, and takes no process out of service."""

import pytest

from cloud import health
from core.health import _probes, prepare, register


@pytest.fixture
def probe(emulator, settings):
    settings.AWS_STORAGE_BUCKET_NAME = "business-nosuch"
    health.s3.cache_clear()
    yield health.probe_files
    health.s3.cache_clear()


def test_a_bucket_that_is_there_is_well(probe, bucket, settings):
    settings.AWS_STORAGE_BUCKET_NAME = bucket.name
    probe()


def test_a_missing_bucket_is_named_with_the_command_that_makes_it(probe):
    with pytest.raises(
        RuntimeError, match=r"no bucket business-nosuch; .*\./dev restart localstack"
    ):
        probe()


def test_without_files_the_answer_is_degraded_and_still_200(browser, probe, monkeypatch):
    monkeypatch.setattr("core.health._probes", {})
    register("files", optional=True)(probe)
    answer = browser.get("/api/v1/health/")

    assert answer.status_code == 200
    assert answer.json()["status"] == "degraded"
    assert answer.json()["down"] == ["files"]


def test_a_server_makes_the_client_before_it_forks_its_processes(probe, monkeypatch):
    monkeypatch.setattr("core.health._probes", {})
    register("files", optional=True, prepare=health.s3)(probe)
    prepare()
    assert health.s3.cache_info().currsize == 1


def test_a_client_that_cannot_be_made_keeps_no_server_from_its_start(probe, monkeypatch):
    monkeypatch.setattr("core.health._probes", {})
    monkeypatch.setenv("AWS_ENDPOINT_URL", "no URL")
    register("files", optional=True, prepare=health.s3)(probe)
    prepare()
    with pytest.raises(ValueError, match="Invalid endpoint"):
        probe()


def test_what_is_needed_still_counts(browser, probe, monkeypatch):
    def broken():
        raise ConnectionError("refused")

    monkeypatch.setattr("core.health._probes", {"database": broken})
    register("files", optional=True)(probe)
    answer = browser.get("/api/v1/health/")
    assert (answer.status_code, answer.json()["status"]) == (503, "fail")


def test_files_on_disk_need_no_probe(settings):
    assert settings.AWS_STORAGE_BUCKET_NAME is None
    assert "files" not in _probes
