"""Errors of a provider: one exception, one JSON shape."""

from dataclasses import dataclass
from typing import Any


@dataclass
class Refusal(Exception):
    """A 4xx answer with a stable code."""

    status: int
    code: str
    message: str
    field: str | None = None

    def answer(self) -> dict[str, Any]:
        error = {"code": self.code, "message": self.message}
        return {"error": error | ({"field": self.field} if self.field else {})}
