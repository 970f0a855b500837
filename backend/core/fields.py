"""Fields that the API's serializers share."""

from typing import Any

from rest_framework import serializers


class TextField(serializers.CharField):
    """Text, and nothing that could be turned into it: 1 and true are refused."""

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)
