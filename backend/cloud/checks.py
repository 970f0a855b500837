"""What must not be set where real data is: anything that leads to an emulator.

https://docs.djangoproject.com/en/5.2/ref/checks/
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from django.core.checks import Error, Tags, register

from core.env import emulation, environment


@register(Tags.security)
def no_emulator_in_production(app_configs: Sequence | None, **kwargs: Any) -> list[Error]:
    """Refuse endpoints and test credentials, in variables and in AWS's own configuration files.

    The environment contract refuses the variables at every start; the files only this sees.
    """
    if environment().mode != "production":
        return []
    found = emulation(os.environ)
    faults = [(f"{name} {reason}", f"Unset {name}.") for name, reason in found]
    faults += [(f"{where} leads away from AWS", f"Remove {where}.") for where in _configured()]
    return [Error(f"{fault}.", hint=hint, id="cloud.E001") for fault, hint in faults]


def _configured() -> list[str]:
    """Return every `endpoint_url` of the profile in use.

    https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html
    """
    import botocore.session

    session = botocore.session.get_session()
    file = session.get_config_variable("config_file")
    profile = session.get_scoped_config()
    services = session.full_config.get("services", {}).get(profile.get("services"), {})
    found = [f"endpoint_url in {file}"] if profile.get("endpoint_url") else []
    return found + [
        f"endpoint_url of {service} in {file}"
        for service, values in services.items()
        if isinstance(values, dict) and values.get("endpoint_url")
    ]
