"""OpenAPI schemas, authentication schemes, errors and parameters."""

from collections.abc import Mapping
from typing import Any

import msgspec
from django.conf import settings
from drf_spectacular.extensions import OpenApiAuthenticationExtension, OpenApiSerializerExtension
from drf_spectacular.plumbing import ResolvedComponent
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse

from api.idempotency import KEY
from api.prices import LIMITS
from api.responses import Error

REF = "#/components/schemas/{name}"


class StructExtension(OpenApiSerializerExtension):  # type: ignore[no-untyped-call]
    """Schemas of msgspec structs."""

    target_class = "msgspec.Struct"
    match_subclasses = True

    def get_name(self, *_: Any) -> str:
        return str(self.target.__name__)

    def map_serializer(self, auto_schema: Any, direction: Any) -> dict[str, Any]:  # noqa: ARG002
        """Return the schema; register nested ones."""
        _, schemas = msgspec.json.schema_components([self.target], schema_hook=_schema_hook, ref_template=REF)
        own = self.target.__name__
        for name, inner in schemas.items():
            for variant, content in _variants(name, _adapt(inner)).items():
                if variant != own:
                    component = ResolvedComponent(  # type: ignore[no-untyped-call]
                        variant, ResolvedComponent.SCHEMA, schema=content, object=_struct(name)
                    )
                    auto_schema.registry.register_on_missing(component)
        return _variants(own, _adapt(schemas[own]))[own]


class TokenScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """The token."""

    target_class = "api.authentication.TokenAuthentication"
    name = "token"
    priority = 1  # before drf-spectacular's own for the base class

    def get_security_definition(self, *_: Any) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer", "description": "A token of `POST /api/token`."}


class SessionScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """The session cookie."""

    target_class = "api.authentication.SessionAuthentication"
    name = "session"

    def get_security_definition(self, *_: Any) -> dict[str, str]:
        return {"type": "apiKey", "in": "cookie", "name": settings.SESSION_COOKIE_NAME}


class DemoScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """Demo mode: no credentials."""

    target_class = "api.authentication.DemoAuthentication"
    name: list[str] = []

    def get_security_definition(self, *_: Any) -> list[dict[str, str]]:
        return []

    def get_security_requirement(self, *_: Any) -> dict[str, list[Any]]:
        return {}


def _struct(name: str, root: type = msgspec.Struct) -> type | None:
    """Return the struct of this name: drf-spectacular compares components by it."""
    for kind in root.__subclasses__():
        if kind.__name__ == name:
            return kind
        if found := _struct(name, kind):
            return found
    return None


def _variants(name: str, schema: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return a schema, and by name one for each field of `at_least_one_of` and each of `variants`.

    Whole variants, as generators of clients do not understand `anyOf` beside `properties`.
    """
    struct = _struct(name)
    needed: tuple[str, ...] = getattr(struct, "at_least_one_of", ())
    found = {f"{name}By{field[:1].upper()}{field[1:]}": _requiring(field, schema) for field in needed}
    for variant, narrower in getattr(struct, "variants", {}).items():
        found[variant] = _narrowed(schema, narrower)
    if not found:
        return {name: schema}
    choice = {
        "description": schema.get("description", ""),
        "anyOf": [{"$ref": REF.format(name=variant)} for variant in found],
    }
    return {name: choice} | found


def _narrowed(schema: dict[str, Any], narrower: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    fields = {name: each | narrower.get(name, {}) for name, each in schema["properties"].items()}
    return schema | {"properties": fields}


def _requiring(field: str, schema: dict[str, Any]) -> dict[str, Any]:
    properties = {name: dict(each) for name, each in schema["properties"].items()}
    choices = [each for each in properties[field].get("anyOf", []) if each != {"type": "null"}]
    # Blank names count as missing.
    choices = [each | {"pattern": r"\S"} if each.get("type") == "string" else each for each in choices]
    properties[field] = choices[0] if len(choices) == 1 else {"anyOf": choices}
    return schema | {"properties": properties, "required": [*schema.get("required", []), field]}


def _schema_hook(kind: type) -> dict[str, Any]:
    if kind in LIMITS:
        least, largest, _ = LIMITS[kind]
        return {"type": "number", "minimum": float(least) if least else 0, "maximum": float(largest)}
    raise NotImplementedError(kind)


def _adapt(schema: Any) -> Any:
    """Return the schema with decimals as numbers and typed enums, for drf-spectacular."""
    if isinstance(schema, dict) and schema.get("format") == "decimal":
        return {name: value for name, value in schema.items() if name != "format"} | {"type": "number"}
    if isinstance(schema, dict):
        typed = {"type": "string"} if _is_choice_of_texts(schema) else {}
        return typed | {name: _adapt(value) for name, value in schema.items()}
    return [_adapt(value) for value in schema] if isinstance(schema, list) else schema


def _is_choice_of_texts(schema: dict[str, Any]) -> bool:
    choices = schema.get("enum")
    return isinstance(choices, list) and all(isinstance(choice, str) for choice in choices)


def refusals(**codes: str) -> dict[int, OpenApiResponse]:
    """Return error responses, e.g. for `_409="price_changed in_progress"`."""
    return {
        int(status.lstrip("_")): OpenApiResponse(
            Error, description=" · ".join(f"`{code}`" for code in each.split())
        )
        for status, each in codes.items()
    }


def idempotency_key(*, longest: int) -> OpenApiParameter:
    return OpenApiParameter(
        "Idempotency-Key",
        {"type": "string", "minLength": 1, "maxLength": longest, "pattern": f"^{KEY.pattern}$"},
        OpenApiParameter.HEADER,
        description="A request may be repeated under its key: it runs once, and every repeat gets the same answer.",
    )


IDEMPOTENCY_KEY = idempotency_key(longest=200)
REFERENCE = OpenApiParameter(
    "reference", OpenApiTypes.STR, OpenApiParameter.PATH, description="The order's id, UUID or number."
)
