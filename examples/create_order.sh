#!/bin/sh
# Quote and place an order: sh examples/create_order.sh TEE-1 2
#
# Reads API_URL and API_TOKEN. Needs curl. Prints the order as JSON.
set -eu
api=${API_URL:-http://localhost:8000}
items="\"items\": [{\"sku\": \"$1\", \"quantity\": $2}]"

post() {
    curl -sS --fail-with-body -X POST "$api$1" -H "Content-Type: application/json" \
        ${API_TOKEN:+-H "Authorization: Bearer $API_TOKEN"} -H "Idempotency-Key: $(date +%s)-$$-$1" -d "$2"
}

total=$(post /api/orders/quote "{$items}" | sed 's/.*"totalAmount":\([0-9.]*\).*/\1/')
post /api/orders "{\"customerName\": \"Jane Doe\", $items, \"expectedTotal\": $total}"
