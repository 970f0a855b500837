"""How long lists are cut."""

import re
from typing import Any

from django.core.paginator import Page, Paginator
from rest_framework.exceptions import ValidationError
from rest_framework.pagination import PageNumberPagination
from rest_framework.request import Request
from rest_framework.utils.urls import remove_query_param, replace_query_param
from rest_framework.views import APIView


class Pagination(PageNumberPagination):
    """Pages by number; the client may choose their size.

    Links have no host, so that they are right behind any proxy and for every cache.
    """

    page: Page  # set before a link is asked for, as is the request
    request: Request
    page_size = 20
    page_size_query_param = "page_size"
    max_page_size = 100

    def get_page_number(self, request: Request, paginator: Paginator) -> str:
        return request.query_params.get(self.page_query_param, "1")

    def get_page_size(self, request: Request) -> int:
        asked = request.query_params.get(self.page_size_query_param, str(self.page_size))
        # ASCII only: other scripts' digits would be numbers, too.
        if re.fullmatch(r"[0-9]{1,3}", asked) and 0 < int(asked) <= self.max_page_size:
            return int(asked)
        fault = f"Must be a whole number from 1 to {self.max_page_size}."
        raise ValidationError({self.page_size_query_param: [fault]})

    def get_next_link(self) -> str | None:
        return self._link(self.page.next_page_number()) if self.page.has_next() else None

    def get_previous_link(self) -> str | None:
        return self._link(self.page.previous_page_number()) if self.page.has_previous() else None

    def _link(self, number: int) -> str:
        address = self.request.get_full_path()
        if number == 1:
            return remove_query_param(address, self.page_query_param)
        return replace_query_param(address, self.page_query_param, number)

    def get_schema_operation_parameters(self, view: APIView) -> list[dict[str, Any]]:
        parameters = super().get_schema_operation_parameters(view)
        for parameter in parameters:
            parameter["schema"]["minimum"] = 1
            if parameter["name"] == self.page_size_query_param:
                parameter["schema"] |= {"maximum": self.max_page_size, "default": self.page_size}
        return parameters

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        described = super().get_paginated_response_schema(schema)
        for link in ("next", "previous"):
            described["properties"][link] |= {"format": "uri-reference"}
            described["properties"][link]["example"] = "/api/v1/notes/?page=2"
        return described
