"""Order of the OpenAPI description: customers' operations first, staff's apart."""

from typing import Any

from api.openapi import operations_of

# In order: name, description.
CUSTOMERS = {
    "orders": "Quoting and placing orders, and following them.",
    "inventory": "Products, prices and available units.",
    "notifications": "Messages of the account, and tickets for the live feed.",
    "board": "The live board of the account's orders.",
    "api": "Entry points and tokens.",
}
STAFF = {
    "orders (staff)": "Operating orders, stuck orders, reports.",
    "inventory (staff)": "Products and stock adjustments.",
    "payments (staff)": "Requests to the payment provider, and unresolved payments.",
    "shipping (staff)": "Zones and rates.",
    "notifications (staff)": "E-mails and webhooks to other systems.",
    "board (staff)": "The board's figures, and the demo's controls.",
    "system (staff)": "State and metrics of the system.",
}
MARKS = ("(staff)", "(demo only)")


def lay_out(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Tag staff's operations apart, and sort paths by tag."""
    for _path, _method, operation in operations_of(result):
        if any(mark in operation.get("summary", "") for mark in MARKS):
            operation["tags"] = [f"{operation['tags'][0]} (staff)"]
        operation.setdefault("security", [])
    known = CUSTOMERS | STAFF
    used = {operation["tags"][0] for _path, _method, operation in operations_of(result)}
    order = [*known, *sorted(used - set(known))]
    result["tags"] = [{"name": name, "description": known.get(name, name)} for name in order if name in used]
    result["x-tagGroups"] = [
        {"name": "For customers", "tags": [name for name in order if name in used & set(CUSTOMERS)]},
        {"name": "For staff", "tags": [name for name in order if name in used - set(CUSTOMERS)]},
    ]
    result["paths"] = dict(sorted(result["paths"].items(), key=lambda path: _rank(path, order)))
    return result


def _rank(path: tuple[str, dict[str, Any]], order: list[str]) -> tuple[int, bool, str]:
    tags = [order.index(operation["tags"][0]) for operation in path[1].values()]
    return min(tags), not path[0].startswith("/api/orders"), path[0]
