"""Uses what openapi-generator's Python generator makes: python generated_buyer.py SKU"""

import os
import sys

import openapi_client  # type: ignore[import-not-found]
from openapi_client import models

configuration = openapi_client.Configuration(host=os.environ["API_URL"], access_token=os.environ["TOKEN"])
api = openapi_client.OrdersApi(openapi_client.ApiClient(configuration))

line = models.NewLineBySku(sku=sys.argv[1], quantity=2)
fee = models.NewAdjustment(models.NewCharge(kind="fee", code="WRAPPING", amount=2.0))
coupon = models.NewAdjustment(models.NewDiscount(kind="discount", code="WELCOME5", amount=-5.0))
body = models.NewOrderRequestByCustomerName(
    customer_name="Jane", items=[models.NewLine(line)], adjustments=[fee, coupon], hold=True
)
placed = api.create_order(new_order_request=models.NewOrderRequest(body), idempotency_key="a key")
read = api.get_order(str(placed.id))
events = api.list_order_events(str(placed.id))
cancelled = api.cancel_order(str(placed.id))
try:
    api.get_order("999999")
    refusal = 0
except openapi_client.ApiException as refused:
    refusal = refused.status
said = (
    read.order_number,
    read.estimated_total_amount,
    events.results[0].type,
    cancelled.status.value,
    refusal,
)
print(*said)  # noqa: T201 - the test reads it
