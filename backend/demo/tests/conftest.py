"""The emulated S3 of the tests of `cloud`."""

from cloud.tests.conftest import bucket, default_in_s3, emulator, moto

__all__ = ["bucket", "default_in_s3", "emulator", "moto"]
