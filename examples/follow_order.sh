#!/bin/sh
# Follow an order: sh examples/follow_order.sh 279
#
# Reads API_URL and API_TOKEN. Prints `sequence event` for each event until the order is confirmed or ends. curl opens no
# WebSocket, so this polls the events behind the last one, once a second. Needs curl.
set -eu
api=${API_URL:-http://localhost:8000}
last=0

while :; do
    events=$(curl -sS --fail-with-body "$api/api/orders/$1/events?after=$last" \
        ${API_TOKEN:+-H "Authorization: Bearer $API_TOKEN"})
    # An event a line.
    found=$(printf %s "$events" | sed 's/{"sequence"/\n&/g' | sed -n 's/^{"sequence":\([0-9]*\),"type":"\([a-z_]*\)".*/\1 \2/p')
    if [ "$found" ]; then
        printf '%s\n' "$found"
        last=$(printf '%s\n' "$found" | tail -n 1 | cut -d ' ' -f 1)
    fi
    case $found in *order_confirmed* | *order_completed* | *order_cancelled* | *order_rejected*) exit 0 ;; esac
    sleep 1
done
