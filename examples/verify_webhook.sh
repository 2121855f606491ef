#!/bin/sh
# Verify a webhook by Standard Webhooks: sh examples/verify_webhook.sh <id> <timestamp> <signature> < body
#
# Reads WEBHOOK_SECRET (`whsec_…`). Prints the body; ends with 1 if the webhook is not genuine. Needs openssl.
set -eu
id=$1 timestamp=$2 signatures=$3
body=$(mktemp) && trap 'rm -f "$body"' EXIT
cat >"$body"

refuse() {
    echo "not genuine" >&2
    exit 1
}

case $timestamp in '' | *[!0-9]*) refuse ;; esac
age=$(($(date +%s) - timestamp))
[ "$age" -le 300 ] && [ "$age" -ge -300 ] || refuse

key=$(printf %s "${WEBHOOK_SECRET#whsec_}" | openssl base64 -d -A | od -An -v -tx1 | tr -d ' \n')
# The key is on openssl's command line: on a machine that others use, verify in a program instead.
wanted=v1,$({ printf '%s.%s.' "$id" "$timestamp" && cat "$body"; } |
    openssl dgst -sha256 -mac HMAC -macopt "hexkey:$key" -binary | openssl base64 -A)
for signature in $signatures; do
    [ "$signature" = "$wanted" ] && cat "$body" && exit 0
done
refuse
