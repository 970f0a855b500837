#!/bin/sh
# LocalStack runs this when it is ready, with its own Python, which has boto3.
# https://docs.localstack.cloud/references/init-hooks
set -eu
export AWS_ENDPOINT_URL=http://127.0.0.1:4566
export AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test
# The accounts are in another container, which may start later.
exec python3 -B /aws/seed.py --wait
