"""How the API describes itself: structs as schemas, ways to authenticate, refusals and the Idempotency-Key."""

from typing import Any

import msgspec
from django.conf import settings
from drf_spectacular.extensions import OpenApiAuthenticationExtension, OpenApiSerializerExtension
from drf_spectacular.plumbing import ResolvedComponent
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse

from api.idempotency import KEY
from api.requests import Price
from api.responses import Error

REF = "#/components/schemas/{name}"


class StructExtension(OpenApiSerializerExtension):  # type: ignore[no-untyped-call]
    """Lets views declare msgspec structs as requests and responses."""

    target_class = "msgspec.Struct"
    match_subclasses = True

    def get_name(self, *_: Any) -> str:
        """Return the name of the component."""
        return str(self.target.__name__)

    def map_serializer(self, auto_schema: Any, direction: Any) -> dict[str, Any]:  # noqa: ARG002
        """Return the struct's schema, and register those of the structs inside it."""
        _, schemas = msgspec.json.schema_components([self.target], schema_hook=_custom, ref_template=REF)
        schema: dict[str, Any] = schemas.pop(self.target.__name__)
        for name, inner in schemas.items():
            component = ResolvedComponent(  # type: ignore[no-untyped-call]
                name, ResolvedComponent.SCHEMA, schema=_described(name, inner), object=_struct(name)
            )
            auto_schema.registry.register_on_missing(component)
        return _described(self.target.__name__, schema)


class SessionScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """How a browser that is logged in is known."""

    target_class = "api.authentication.SessionAuthentication"
    name = "session"

    def get_security_definition(self, *_: Any) -> dict[str, str]:
        """Return the definition of the scheme."""
        return {"type": "apiKey", "in": "cookie", "name": settings.SESSION_COOKIE_NAME}


class DemoScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """In demo mode nothing is needed."""

    target_class = "api.authentication.DemoAuthentication"
    name: list[str] = []

    def get_security_definition(self, *_: Any) -> list[dict[str, str]]:
        """Return no definition: there is nothing to bring."""
        return []

    def get_security_requirement(self, *_: Any) -> dict[str, list[Any]]:
        """Return the requirement that everybody meets."""
        return {}


def _struct(name: str, root: type = msgspec.Struct) -> type | None:
    """Return the struct of this name, by which drf-spectacular knows that two schemas are one."""
    for kind in root.__subclasses__():
        if kind.__name__ == name:
            return kind
        if found := _struct(name, kind):
            return found
    return None


def _described(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    """Return a struct's schema with what its `__post_init__` asks for and its types cannot say."""
    needed: tuple[str, ...] = getattr(_struct(name), "at_least_one_of", ())
    rule = {"anyOf": [_given(field) for field in needed]} if needed else {}
    return _adapted(schema) | rule


def _given(field: str) -> dict[str, Any]:
    # A customer's name of nothing but blanks is none.
    return {"required": [field], "properties": {field: {"type": ["string", "integer"], "pattern": r"\S"}}}


def _custom(kind: type) -> dict[str, Any]:
    if kind is Price:
        return {"type": "number", "minimum": 0, "maximum": 9_999_999_999.99}
    raise NotImplementedError(kind)


def _adapted(schema: Any) -> Any:
    """Return the schema with decimals as what `api.renderers` makes of them, numbers, and with typed choices.

    msgspec gives a choice of texts no type, and drf-spectacular stumbles over that.
    """
    if isinstance(schema, dict) and schema.get("format") == "decimal":
        return {name: value for name, value in schema.items() if name != "format"} | {"type": "number"}
    if isinstance(schema, dict):
        typed = {"type": "string"} if _is_choice_of_texts(schema) else {}
        return typed | {name: _adapted(value) for name, value in schema.items()}
    return [_adapted(value) for value in schema] if isinstance(schema, list) else schema


def _is_choice_of_texts(schema: dict[str, Any]) -> bool:
    choices = schema.get("enum")
    return isinstance(choices, list) and all(isinstance(choice, str) for choice in choices)


def refusals(**codes: str) -> dict[int, OpenApiResponse]:
    """Return responses by status for e.g. `_409="price_changed in_progress"`: the codes each may carry."""
    return {
        int(status.lstrip("_")): OpenApiResponse(
            Error, description=" · ".join(f"`{code}`" for code in each.split())
        )
        for status, each in codes.items()
    }


def idempotency_key(*, longest: int) -> OpenApiParameter:
    """Return the header under which a request may be repeated."""
    return OpenApiParameter(
        "Idempotency-Key",
        {"type": "string", "minLength": 1, "maxLength": longest, "pattern": f"^{KEY.pattern}$"},
        OpenApiParameter.HEADER,
        description="Repeat a request under its key as often as you like: it is done once and answered the same.",
    )


IDEMPOTENCY_KEY = idempotency_key(longest=200)
REFERENCE = OpenApiParameter(
    "reference", OpenApiTypes.STR, OpenApiParameter.PATH, description="The order's id, UUID or number."
)
