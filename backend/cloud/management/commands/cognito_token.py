"""Log in to the Cognito user pool, and print the token: to try the API with."""

from __future__ import annotations

from argparse import ArgumentParser
from getpass import getpass

from botocore.exceptions import BotoCoreError, ClientError
from django.core.management.base import BaseCommand, CommandError

from cloud.clients import client
from core.env import environment


class Command(BaseCommand):
    help = "Log in to the Cognito user pool and print the id token, ready for Authorization."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("email")
        parser.add_argument("--password", help="asked for when it is not given")
        parser.add_argument("--access", action="store_true", help="print the access token instead")

    def handle(self, *args, email: str, password: str | None, access: bool, **options) -> None:
        app_client = environment()["COGNITO_APP_CLIENT_ID"]
        if not app_client:
            raise CommandError(
                "COGNITO_APP_CLIENT_ID is not set; see docs/cognito.md, Switch it on."
            )
        try:
            answer = client("cognito-idp").initiate_auth(
                ClientId=app_client,
                AuthFlow="USER_PASSWORD_AUTH",
                AuthParameters={"USERNAME": email, "PASSWORD": password or getpass()},
            )
        except (BotoCoreError, ClientError) as error:
            raise CommandError(f"{error}\nDoes Cognito answer? Look: ./dev status") from error
        if "AuthenticationResult" not in answer:
            raise CommandError(f"Cognito first asks for {answer.get('ChallengeName')}.")
        result = answer["AuthenticationResult"]
        self.stdout.write(result["AccessToken" if access else "IdToken"])
