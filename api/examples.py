"""Example answers for the API's description: one order, told in every schema."""

from typing import Any

# By name on the wire; a dict is by the schema that has the field.
VALUES: dict[str, Any] = {
    "adjustmentAmount": 0.00,
    "amount": 59.98,
    "attempts": 1,
    "available": 98,
    "by": -2,
    "category": "Clothing",
    "channel": "email",
    "code": "insufficient_funds",
    "completedAt": "2026-01-31T09:30:12Z",
    "count": 10,
    "country": "US",
    "countries": ["US"],
    "createdAt": "2026-01-31T09:30:00Z",
    "currency": "USD",
    "current": 34.99,
    "customerId": "c-1001",
    "customerName": "Jane Doe",
    "data": {"amount": "59.98", "currency": "USD", "held": False},
    "description": "Plain cotton T-shirt.",
    "email": "jane@example.com",
    "estimatedShippingAmount": 4.99,
    "estimatedTotalAmount": 64.97,
    "event": "order_confirmed",
    "events": ["order_confirmed", "order_cancelled"],
    "expiresAt": "2026-05-01T09:30:00Z",
    "expiresIn": 30,
    "externalReference": "web-2026-1001",
    "failure": None,
    "finishedAt": "2026-01-31T09:30:12Z",
    "goodsAmount": 59.98,
    "hint": "…f3a9",
    "id": 1001,
    "included": True,
    "inStock": True,
    "kind": "authorize",
    "language": "de",
    "line": 1,
    "madeBy": "operator",
    "metadata": {"channel": "web"},
    "message": "Unknown product.",
    "name": "T-shirt",
    "next": None,
    "onHand": 100,
    "onHandAfter": 98,
    "orderId": 1001,
    "orderNumber": "ORD-20260131093000-1001",
    "payment": "captured",
    "price": 29.99,
    "productId": 1,
    "productName": "T-shirt",
    "progress": 100,
    "properties": {"print": "Jane"},
    "quantity": 2,
    "rate": 0.19,
    "reason": None,
    "reasonCode": None,
    "recipient": "jane@example.com",
    "replayed": False,
    "reserved": 2,
    "refundState": "none",
    "secret": "whsec_kVh2nQ7e0cZyJt1pW8mR4uXa",
    "self": "/api/orders/1001",
    "sequence": 6,
    "settledAt": "2026-01-31T09:30:12Z",
    "shipping": "quoted",
    "shippingAddress": {"name": "Jane Doe", "line1": "1 Main Street", "city": "Springfield", "country": "US"},
    "shippingAmount": 4.99,
    "shippingRefusal": None,
    "sku": "TEE-1",
    "state": "sent",
    "stock": "sold",
    "subject": "Your order ORD-20260131093000-1001 is confirmed",
    "switchedOffAt": None,
    "switchedOffReason": None,
    "ticket": "tkt_4pQm9sVx",
    "token": "9f2c1e0b7d5a4c3f8e6d",
    "totalAmount": 64.97,
    "type": "order_confirmed",
    "uuid": "019c1a52-6f00-7c3e-9d0b-3f5a2b1c4d6e",
    "version": 7,
    "weightGrams": 180,
    "worker": "worker@node-1",
}
LINKS = ("events", "process", "complete", "cancel")
FORMATS = {
    "date-time": "2026-01-31T09:30:00Z",
    "date": "2026-01-31",
    "uuid": VALUES["uuid"],
    "uri": "https://shop.example/api/orders?cursor=1001",
    "email": "jane@example.com",
}
OPEN = {"status": "ok"}
DEPTH = 8


def example_of(schema: dict[str, Any], components: dict[str, Any]) -> Any:
    return _value(schema, components, "", DEPTH)


def without_read_only(components: dict[str, Any]) -> dict[str, Any]:
    """Return the schemas without fields that requests do not have."""
    return {
        name: schema | {"properties": _writable(schema)} if "properties" in schema else schema
        for name, schema in components.items()
    }


def _writable(schema: dict[str, Any]) -> dict[str, Any]:
    return {name: field for name, field in schema["properties"].items() if not field.get("readOnly")}


def _value(schema: dict[str, Any], components: dict[str, Any], name: str, depth: int) -> Any:
    if "$ref" in schema:
        kind = schema["$ref"].rpartition("/")[2]
        return _value(components[kind], components, "Links" if kind == "Links" else name, depth - 1)
    for example in ("example", "const", "default"):
        if example in schema and schema[example] is not None:
            return schema[example]
    if examples := schema.get("examples"):
        return examples[0]
    for choice in ("anyOf", "oneOf", "allOf"):
        if choice in schema:
            return _chosen(schema[choice], components, name, depth)
    return _plain(schema, components, name, depth)


def _chosen(choices: list[dict[str, Any]], components: dict[str, Any], name: str, depth: int) -> Any:
    if name in VALUES and VALUES[name] is None and {"type": "null"} in choices:
        return None
    return _value(next(each for each in choices if each != {"type": "null"}), components, name, depth)


def _plain(schema: dict[str, Any], components: dict[str, Any], name: str, depth: int) -> Any:
    kinds = schema.get("type", "object")
    kinds = kinds if isinstance(kinds, list) else [kinds]
    known = VALUES.get(name)
    if "enum" in schema:
        return known if known in schema["enum"] else next(each for each in schema["enum"] if each is not None)
    if known is None and name in VALUES and "null" in kinds:
        return None
    kind = next(each for each in kinds if each != "null")
    if kind == "object":
        return _object(schema, components, name, depth)
    if kind == "array":
        return _array(schema, components, name, depth)
    if _is_a(known, kind):
        return known
    return _scalar(kind, schema)


def _object(schema: dict[str, Any], components: dict[str, Any], name: str, depth: int) -> Any:
    properties = schema.get("properties")
    if not properties:
        known = VALUES.get(name)
        more = schema.get("additionalProperties")
        if more is False:
            return {}
        if isinstance(known, dict):
            return known
        if isinstance(more, dict) and more and depth > 0:
            return {name or "orders": _value(more, components, "", depth - 1)}
        return {} if name else OPEN
    if name == "Links":
        return {each: f"/api/orders/1001/{each}" if each != "self" else VALUES["self"] for each in properties}
    if depth <= 0:
        properties = {each: properties[each] for each in schema.get("required", [])}
    return {each: _value(inner, components, each, depth) for each, inner in properties.items()}


def _array(schema: dict[str, Any], components: dict[str, Any], name: str, depth: int) -> list[Any]:
    known = VALUES.get(name)
    items = schema.get("items", {})
    if isinstance(known, list) and "$ref" not in items:
        return known
    if depth <= 0 or not items:
        return []
    return [_value(items, components, name if "enum" in items else "", depth - 1)]


def _is_a(value: Any, kind: str) -> bool:
    kinds: dict[str, Any] = {"string": str, "integer": int, "number": (int, float), "boolean": bool}
    is_flag = isinstance(value, bool)
    return isinstance(value, kinds.get(kind, ())) and (is_flag == (kind == "boolean"))


def _scalar(kind: str, schema: dict[str, Any]) -> Any:
    if kind == "string":
        return FORMATS.get(schema.get("format", ""), "text")
    return {"integer": max(1, schema.get("minimum", 1)), "number": 1.5, "boolean": True}.get(kind)
