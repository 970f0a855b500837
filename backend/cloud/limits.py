"""How long AWS is waited for."""

from botocore.config import Config

# Someone waits for the request that asks: a service that is down is known to be after about
# 2 s, one that hangs after about 10 s.
REQUEST = Config(
    connect_timeout=2,
    read_timeout=5,
    retries={"total_max_attempts": 2, "mode": "standard"},
)
# A process that starts, or a token that is looked at, needs a short answer or none.
QUESTION = Config(
    connect_timeout=1,
    read_timeout=3,
    retries={"total_max_attempts": 2, "mode": "standard"},
)
# Fits into the time that a probe of health has.
PROBE = Config(connect_timeout=1, read_timeout=1, retries={"total_max_attempts": 1})
