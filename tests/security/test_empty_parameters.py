"""A parameter without a value is not taken for one that is not there: what was meant is not known."""

import re
from collections.abc import Iterator

import pytest
from rest_framework.test import APIClient

from notifications.models import Subscription
from tests.factories import make_order, make_product
from tests.fixtures.described import description, validator
from tests.security.conftest import make_operator

# Null is a value there, and an empty text is how an address says it.
MAY_BE_EMPTY = {("/api/inventory", "inStock")}


def parameters() -> Iterator[tuple[str, str, str]]:
    """Yield the method, path and name of every parameter whose description knows no empty text."""
    for path, operations in description()["paths"].items():
        for method, operation in operations.items():
            for parameter in operation.get("parameters", []):
                schema = parameter["schema"]
                is_for_text = "format" not in schema and validator(schema).is_valid("")
                if parameter["in"] == "query" and not is_for_text:
                    yield method, path, parameter["name"]


@pytest.mark.django_db
def test_no_parameter_may_be_empty_unless_its_description_says_so(settings) -> None:
    product = make_product()
    ids = {
        "/api/orders": make_order((product, 1)).order_id,
        "/api/inventory": product.pk,
        "/api/webhooks": Subscription.objects.create(url="https://shop.example/hook").pk,
    }
    settings.THROTTLE_RATES = dict.fromkeys(settings.THROTTLE_RATES, "off")
    operator = APIClient()
    operator.force_authenticate(make_operator())
    asked = [each for each in parameters() if each[1:] not in MAY_BE_EMPTY]
    assert ("post", "/api/inventory/sync", "wait") in asked
    for method, path, name in asked:
        (number,) = [number for start, number in ids.items() if path.startswith(start)] or [0]
        address = re.sub(r"\{\w+\}", str(number), path)
        answer = operator.generic(method.upper(), f"{address}?{name}=")
        assert answer.status_code == 400, f"{address}?{name}="
        assert answer.json()["error"]["field"] == name, address
