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
