"""Uses of the emulated AWS by the application: a log-in, and what was made once."""

from __future__ import annotations

import urllib.error
import urllib.request

from running_stack import Stack
from tenant_work import store
from web_client import Answer

AWS_STATE = """
import boto3, jwt, uuid
from core.env import environment
client = environment()["COGNITO_APP_CLIENT_ID"]
signed_in = {"USERNAME": "staff@test1.example.com", "PASSWORD": "Sign-in-local-1"}
tokens = boto3.client("cognito-idp").initiate_auth(
    ClientId=client, AuthFlow="USER_PASSWORD_AUTH", AuthParameters=signed_in
)["AuthenticationResult"]
claims = jwt.decode(tokens["IdToken"], options={"verify_signature": False})

# A file, a parameter and a user with random content, which only the first call makes.
s3, ssm, cognito = (boto3.client(name) for name in ("s3", "ssm", "cognito-idp"))
new, bucket = str(uuid.uuid4()), environment()["AWS_STORAGE_BUCKET_NAME"]
if "Contents" not in s3.list_objects_v2(Bucket=bucket, Prefix="made"):
    s3.put_object(Bucket=bucket, Key="made once", Body=new)
    ssm.put_parameter(Name="/made/once", Value=new, Type="SecureString")
    cognito.sign_up(ClientId=client, Username=f"{new}@example.com", Password=f"Made-once-{new}")
file = s3.get_object(Bucket=bucket, Key="made once")["Body"].read().decode()
parameter = ssm.get_parameter(Name="/made/once")["Parameter"]["Value"]
users = cognito.list_users(UserPoolId=environment()["COGNITO_USER_POOL_ID"])["Users"]
names = sorted(user["Username"] for user in users)
print(claims["iss"], claims["aud"], claims["sub"], file, parameter, names)
"""


def use_aws(stack: Stack) -> str:
    """Store a file and log in to Cognito; return the ids and what somebody changed."""
    assert store(stack) == "hello"
    return stack.python(AWS_STATE).splitlines()[-1]


def fetched(request: str | urllib.request.Request) -> Answer:
    """Request a URL from this machine, like a browser."""
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return Answer(answer.status, answer.headers, answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return Answer(error.code, error.headers, error.read())
