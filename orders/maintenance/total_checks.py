"""What the audit checks of totals: lines, adjustments that are not included, and shipping, in units of the currency."""

from iso.currencies import DECIMALS

# Each order with what its adjustments come to, by themselves: added, and included in the prices.
SUMS = """(
    SELECT o.id, o.adjustment_amount AS stored,
           coalesce(sum((a->>'amount')::numeric) FILTER (WHERE NOT (a->>'included')::bool), 0) AS added,
           coalesce(sum((a->>'amount')::numeric) FILTER (WHERE (a->>'included')::bool), 0) AS included,
           coalesce(array_agg((a->>'amount')::numeric) FILTER (WHERE (a->>'included')::bool), '{}') AS each_included
    FROM orders_order o LEFT JOIN LATERAL jsonb_array_elements(o.adjustments) a ON true
    WHERE o.adjustments IS NOT NULL OR o.adjustment_amount <> 0
    GROUP BY o.id)"""
# The difference is what is included, in part or all.
ADDED_AGAIN = "stored - added <> 0 AND (stored - added = included OR stored - added = ANY (each_included))"
# Each line that has adjustments of its own, with what they add to it; without a line of that place, no amount.
OF_LINES = """(
    SELECT o.id, a.place, l.amount, a.added
    FROM orders_order o
    CROSS JOIN LATERAL (
        SELECT (a->>'line')::int AS place, coalesce(sum((a->>'amount')::numeric) FILTER (
            WHERE NOT (a->>'included')::bool), 0) AS added
        FROM jsonb_array_elements(o.adjustments) a WHERE a->>'line' IS NOT NULL GROUP BY 1) a
    LEFT JOIN LATERAL (
        SELECT row_number() OVER (ORDER BY product_id, number) AS place, quantity * unit_price AS amount
        FROM orders_orderline WHERE order_id = o.id) l ON l.place = a.place
    WHERE o.adjustments IS NOT NULL)"""
# All amounts of the orders, with their names.
AMOUNTS = """(
    SELECT id, currency, 'goods' AS name, goods_amount AS amount FROM orders_order
    UNION ALL SELECT id, currency, 'adjustments', adjustment_amount FROM orders_order WHERE adjustment_amount <> 0
    UNION ALL SELECT o.id, o.currency, a->>'code', (a->>'amount')::numeric
    FROM orders_order o CROSS JOIN LATERAL jsonb_array_elements(o.adjustments) a
    UNION ALL SELECT o.id, o.currency, 'a line', l.unit_price
    FROM orders_orderline l JOIN orders_order o ON o.id = l.order_id
    UNION ALL SELECT o.id, o.currency, 'shipping', j.shipping_amount
    FROM orders_journey j JOIN orders_order o ON o.id = j.order_id)"""
OTHER_DECIMALS = " ".join(f"WHEN '{code}' THEN {number}" for code, number in DECIMALS.items() if number != 2)

CHECKS = {
    "Totals: each adjustment that is not included is in the total": """
        SELECT id::text, format('adjusted by %s, the adjustments that are not included come to %s', stored, added)
        FROM {sums} s WHERE stored <> added AND NOT ({added_again})
    """,
    "Totals: what is included is not added again": """
        SELECT id::text, format('adjusted by %s, of which %s is included in the prices', stored, stored - added)
        FROM {sums} s WHERE {added_again}
    """,
    "Totals: none is below 0": """
        SELECT id::text, format('goods %s, adjusted by %s', goods_amount, adjustment_amount)
        FROM orders_order WHERE goods_amount + adjustment_amount < 0
    """,
    "Totals: adjustments of a line have one, and leave it at 0 or more": """
        SELECT id::text, format('line %s of %s, adjusted by %s', place, coalesce(amount::text, 'no amount'), added)
        FROM {of_lines} a WHERE amount IS NULL OR amount + added < 0
    """,
    "Totals: amounts are whole units of their currency": """
        SELECT id::text, format('%s %s for %s', amount, currency, name) FROM {amounts} a
        WHERE amount <> round(amount, CASE currency {other_decimals} ELSE 2 END)
    """,
}
CHECKS = {
    name: statement.replace("{sums}", SUMS)
    .replace("{added_again}", ADDED_AGAIN)
    .replace("{amounts}", AMOUNTS)
    .replace("{of_lines}", OF_LINES)
    .replace("{other_decimals}", OTHER_DECIMALS)
    for name, statement in CHECKS.items()
}
