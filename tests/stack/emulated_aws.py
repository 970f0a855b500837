"""Uses of the emulated AWS by the application: an upload, a log-in, and what was made once."""

from __future__ import annotations

import urllib.error
import urllib.request

from running_stack import Answer, Stack

TOKEN = """
from django_tenants.utils import schema_context
from users.models import User
from users.tokens import AccessToken
with schema_context("test1"):
    user, _ = User.objects.get_or_create(email="uploads@example.com")
    print(AccessToken.for_user(user))
"""

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

# A ticket with an attachment, as a form.
_FIELDS = ('subject"', 'body"', 'attachments"; filename="a.txt"\r\nContent-Type: text/plain')
TICKET = "".join(
    f'--B\r\nContent-Disposition: form-data; name="{field}\r\n\r\nx\r\n' for field in _FIELDS
)
TICKET += "--B--\r\n"
FORM = "multipart/form-data; boundary=B"


def access_token(stack: Stack) -> str:
    """Return a token of a customer of the first tenant."""
    return stack.python(TOKEN).splitlines()[-1]


def upload(stack: Stack, token: str) -> Answer:
    """Open a ticket with an attachment."""
    request = urllib.request.Request(
        stack.url("/api/tickets/"),
        data=TICKET.encode(),
        headers={"Authorization": f"Bearer {token}", "Content-Type": FORM, "X-Tenant": "test1"},
    )
    return fetched(request)


def use_aws(stack: Stack) -> str:
    """Upload a file and log in to Cognito; return the ids and what somebody changed."""
    assert upload(stack, access_token(stack)).status == 201
    return stack.python(AWS_STATE).splitlines()[-1]


def fetched(request: str | urllib.request.Request) -> Answer:
    """Request a URL from this machine, like a browser."""
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return Answer(answer.status, dict(answer.headers), answer.read().decode())
    except urllib.error.HTTPError as error:
        with error:
            return Answer(error.code, dict(error.headers), error.read().decode())
