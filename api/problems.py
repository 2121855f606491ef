"""Errors of the API: status, stable code and field."""

import dataclasses
from typing import Any

from rest_framework import status
from rest_framework.exceptions import APIException


@dataclasses.dataclass(frozen=True, slots=True)
class Detail:
    """One of several errors."""

    code: str
    message: str
    field: str = ""
    facts: dict[str, Any] = dataclasses.field(default_factory=dict)  # e.g. the current price


class Problem(APIException):
    """A refused request. `code` is stable, `message` is not."""

    def __init__(
        self,
        code: str,
        message: str,
        *,
        field: str = "",
        status_code: int = status.HTTP_400_BAD_REQUEST,
        details: tuple[Detail, ...] = (),
        retry_after: float | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message, code)
        self.code, self.message, self.field = code, message, field
        self.status_code, self.details, self.retry_after = status_code, details, retry_after
        self.headers = headers or {}
