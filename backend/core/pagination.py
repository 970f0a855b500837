"""How long lists are cut."""

from typing import Any

from rest_framework.pagination import PageNumberPagination
from rest_framework.utils.urls import remove_query_param, replace_query_param


class Pagination(PageNumberPagination):
    """Pages by number; the client may choose their size.

    Links have no host, so that they are right behind any proxy and for every cache.
    """

    page_size = 20
    page_size_query_param = "page_size"
    max_page_size = 100

    def get_next_link(self) -> str | None:
        return self._link(self.page.next_page_number()) if self.page.has_next() else None

    def get_previous_link(self) -> str | None:
        return self._link(self.page.previous_page_number()) if self.page.has_previous() else None

    def _link(self, number: int) -> str:
        address = self.request.get_full_path()
        if number == 1:
            return remove_query_param(address, self.page_query_param)
        return replace_query_param(address, self.page_query_param, number)

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        described = super().get_paginated_response_schema(schema)
        for link in ("next", "previous"):
            described["properties"][link] |= {"format": "uri-reference"}
            described["properties"][link]["example"] = "/api/v1/products/?page=2"
        return described
