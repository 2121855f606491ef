"""What is wrong with a request, as the API says it: a status, a stable code, and the field that is meant."""

import dataclasses
from typing import Any

from rest_framework import status
from rest_framework.exceptions import APIException


@dataclasses.dataclass(frozen=True, slots=True)
class Detail:
    """One thing that is wrong, when there may be several."""

    code: str
    message: str
    field: str = ""
    facts: dict[str, Any] = dataclasses.field(default_factory=dict)  # e.g. the current price


class Problem(APIException):
    """A request that is refused as it stands. `code` is a contract with clients, `message` is for people."""

    def __init__(
        self,
        code: str,
        message: str,
        *,
        field: str = "",
        status_code: int = status.HTTP_400_BAD_REQUEST,
        details: tuple[Detail, ...] = (),
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message, code)
        self.code, self.message, self.field = code, message, field
        self.status_code, self.details, self.retry_after = status_code, details, retry_after
