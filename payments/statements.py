"""The ledger's statements."""

# No join: the planner knows too little of either side.
PREPARE = """
    WITH asked AS ({asked}), written AS (
        INSERT INTO payments_transaction AS t
            (order_id, number, parent, attempt, credit, key, kind, gateway, reference, amount, currency, token,
             provider_parent, state, provider_id, code, message, started_at, asked_at)
        SELECT order_id, {row}, reference::text || ':' || {key}, %s::text, coalesce(nullif(gateway, ''), %s::text),
               reference, amount, currency, token, parent, 'unknown',
               '', '', '', statement_timestamp(), statement_timestamp()
        FROM asked
        ON CONFLICT (order_id, number) DO UPDATE SET asked_at = statement_timestamp() WHERE t.state = 'unknown'
        RETURNING order_id, xmax = 0 AS is_new
    )
    SELECT order_id, reference::text, amount, currency, token, parent, gateway, {numbers}
           (SELECT statement_timestamp()::text),
           order_id IN (SELECT order_id FROM written), order_id IN (SELECT order_id FROM written WHERE is_new)
    FROM asked
"""
PREPARE_FIRST = PREPARE.replace("{row}", "%s::int, %s::int, 1, NULL::int").replace("{key}", "%s::text")
PREPARE_FIRST = PREPARE_FIRST.replace("{numbers}", "")
PREPARE_NUMBERED = (
    PREPARE.replace("{row}", "number, parent_number, attempt, credit")
    .replace("{key}", "%s::text || CASE WHEN number < 10 THEN '' ELSE ':' || number / 10 + 1 END")
    .replace("{numbers}", "number, parent_number, attempt, credit,")
)

# A row keeps its first gateway, and the provider's id if the provider has begun it.
REPEATED = """
    SELECT t.order_id, t.gateway, t.provider_id
    FROM payments_transaction t JOIN unnest(%s::bigint[], %s::int[]) AS d(order_id, number)
        ON t.order_id = d.order_id AND t.number = d.number
"""

DECIDED = """
    SELECT t.order_id, t.state, t.provider_id, t.code, t.asked_at::text
    FROM payments_transaction t JOIN unnest(%s::bigint[], %s::int[]) AS d(order_id, number)
        ON t.order_id = d.order_id AND t.number = d.number
"""

# The state stands in a CASE: next to none are unknown by the planner's statistics, so it read the whole table for each.
# Money that a decided call brings after all is recorded, to be returned: a customer may pay an intent that was declined
# before. Not once it is voided.
RECORD = """
    UPDATE payments_transaction t SET
        state = o.state, provider_id = coalesce(nullif(o.provider_id, ''), t.provider_id),
        code = o.code, message = o.message,
        finished_at = CASE WHEN o.state = 'unknown' THEN NULL ELSE clock_timestamp() END
    FROM {outcomes} o
    WHERE t.order_id = o.order_id AND t.number = o.number
      AND CASE WHEN t.state = 'unknown' THEN true ELSE o.state = 'succeeded' AND t.state = 'declined' AND (
          t.code = 'never_arrived' OR (t.kind IN ('authorize', 'capture') AND t.code <> 'voided')) END
    RETURNING t.order_id
"""

HELD = """
    SELECT order_id, reference, amount, currency, '' AS token, provider_id AS parent, gateway
    FROM payments_transaction
    WHERE order_id = ANY(%s::bigint[]) AND kind = 'authorize' AND state = 'succeeded'
"""

# Only if no other worker has set out to send it since.
DELETE_UNSENT = """
    DELETE FROM payments_transaction t
    USING unnest(%s::bigint[], %s::int[], %s::timestamptz[]) AS o(order_id, number, asked_at)
    WHERE t.order_id = o.order_id AND t.number = o.number AND t.state = 'unknown' AND t.asked_at = o.asked_at
"""


RESTART_GRACE = """
    UPDATE payments_transaction t SET asked_at = statement_timestamp()
    FROM unnest(%s::bigint[], %s::int[], %s::timestamptz[]) AS o(order_id, number, asked_at)
    WHERE t.order_id = o.order_id AND t.number = o.number AND t.asked_at = o.asked_at AND t.state = 'unknown'
"""


BEGIN = """
    UPDATE payments_transaction t
    SET provider_id = o.provider_id, code = 'begun', asked_at = statement_timestamp()
    FROM unnest(%s::bigint[], %s::int[], %s::text[], %s::timestamptz[]) AS o(order_id, number, provider_id, asked_at)
    WHERE t.order_id = o.order_id AND t.number = o.number AND t.state = 'unknown' AND t.asked_at = o.asked_at
    RETURNING t.order_id, t.asked_at::text
"""


REVERSE = """
    INSERT INTO payments_transaction
        (order_id, number, parent, attempt, credit, key, kind, gateway, reference, amount, currency, token, state,
         provider_id, code, message, started_at, asked_at, finished_at)
    SELECT order_id, %s::int, number, attempt, credit, %s::text, 'reversal', gateway, reference, amount, currency, '',
           'succeeded', '', %s::text, %s::text, statement_timestamp(), statement_timestamp(), statement_timestamp()
    FROM payments_transaction WHERE order_id = %s::bigint AND number = %s::int AND state = 'succeeded'
    ON CONFLICT (order_id, number) DO NOTHING
    RETURNING amount, attempt, credit
"""
