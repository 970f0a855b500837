#!/bin/sh
# LocalStack runs this when it is ready. Its own Python has boto3.
# https://docs.localstack.cloud/references/init-hooks
set -eu
export AWS_ENDPOINT_URL=http://127.0.0.1:4566
export AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test
# Another container has the accounts, and may start later.
exec python3 -B /aws/seed.py --wait
