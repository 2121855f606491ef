"""Strict JSON parsing."""

import json
from codecs import BOM_UTF8
from decimal import Decimal, InvalidOperation
from typing import IO, Any, NoReturn

from rest_framework.parsers import JSONParser

from api.problems import Problem
from api.validators import check_texts


class StrictJSONParser(JSONParser):
    """Parses interoperable JSON (RFC 8259): UTF-8, unique names, no NaN. Fractions become `Decimal`."""

    def parse(self, stream: IO[bytes], *_: Any, **__: Any) -> Any:
        """Return the body's value. Raises Problem."""
        return parsed(stream.read())


def parsed(body: bytes) -> Any:
    """Return the value of a JSON text. Raises Problem."""
    if body.startswith(BOM_UTF8):
        raise Problem("malformed_json", "The body begins with a byte order mark. Send it without.")
    try:
        value = DECODER.decode(body.decode())
    except UnicodeDecodeError:
        raise Problem("malformed_json", "The body is not UTF-8.") from None
    except RecursionError:
        raise Problem("malformed_json", "The body is nested too deeply.") from None
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise Problem("malformed_json", f"The body is not JSON: {error.msg} ({where}).") from None
    except ValueError as error:  # NotInteroperable, or an integer with too many digits for Python
        message = str(error) if isinstance(error, NotInteroperable) else "A number has too many digits."
        raise Problem("malformed_json", message) from None
    check_texts(value)
    return value


class NotInteroperable(ValueError):
    """JSON that parsers disagree on."""


def _each_name_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        raise NotInteroperable("An object has the same name twice.")
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise NotInteroperable(f"{name} is not JSON.")


def _decimal(digits: str) -> Decimal:
    if len(digits) > 100:
        raise NotInteroperable("A number has too many digits.")
    try:
        return Decimal(digits)
    except InvalidOperation:
        raise NotInteroperable("An exponent is too large.") from None


DECODER = json.JSONDecoder(
    object_pairs_hook=_each_name_once, parse_constant=_refuse_constant, parse_float=_decimal
)
