"""Examples of orders for the API's description."""

from drf_spectacular.utils import OpenApiExample

BY_PRODUCT_ID = OpenApiExample(
    "By customer and product id",
    value={
        "customerId": "1",
        "items": [
            {"productId": 1, "quantity": 2, "price": 29.99},
            {"productId": 2, "quantity": 1, "price": 149.99},
        ],
    },
    request_only=True,
)
BY_PRODUCT_NAME = OpenApiExample(
    "By customer and product name",
    value={
        "customerName": "John Doe",
        "items": [
            {"productName": "Laptop", "quantity": 1, "price": 999.99},
            {"productName": "Mouse", "quantity": 2, "price": 29.99},
        ],
    },
    request_only=True,
)
WITH_ADJUSTMENTS = OpenApiExample(
    "With prices and adjustments of the shop",
    description="Needs the permission `price_order`. The total is 59.98 + 11.40 - 5.00 and shipping.",
    value={
        "customerName": "Jane Doe",
        "items": [
            {"sku": "TEE-1", "quantity": 1, "unitPrice": 24.99, "properties": {"print": "Jane"}},
            {"sku": "TEE-1", "quantity": 1, "unitPrice": 34.99, "properties": {"print": "The Does"}},
        ],
        "adjustments": [
            {"kind": "tax", "code": "VAT", "amount": 11.40, "rate": 0.19},
            {"kind": "discount", "code": "WELCOME5", "amount": -5.00},
        ],
    },
    request_only=True,
)
