"""What error pages, error mails and the debug toolbar show of settings."""

from __future__ import annotations

import re
from typing import Any

from django.views.debug import SafeExceptionReporterFilter

_PASSWORD_IN_URL = re.compile(r"(?<=://)([^\s/?#@:]*):\S*@")


class SafeReporterFilter(SafeExceptionReporterFilter):
    """Django's filter, which goes by names, and in addition the passwords inside URLs.

    https://docs.djangoproject.com/en/5.2/howto/error-reporting/#custom-error-reports
    """

    def cleanse_setting(self, key: Any, value: Any) -> Any:
        cleansed = super().cleanse_setting(key, value)
        if not isinstance(cleansed, str):
            return cleansed
        return _PASSWORD_IN_URL.sub(rf"\1:{self.cleansed_substitute}@", cleansed)
