"""What the audit checks of totals: lines, adjustments that are not included, and shipping, in units of the currency."""

from iso.currencies import DECIMALS

# Each order with what its adjustments come to, by themselves: added, and included in the prices.
SUMS = """(
    SELECT o.id, o.goods_amount, o.adjustment_amount AS stored, o.currency,
           coalesce(sum((a->>'amount')::numeric) FILTER (WHERE NOT (a->>'included')::bool), 0) AS added,
           coalesce(sum((a->>'amount')::numeric) FILTER (WHERE (a->>'included')::bool), 0) AS included,
           coalesce(array_agg((a->>'amount')::numeric) FILTER (WHERE (a->>'included')::bool), '{}') AS each_included
    FROM orders_order o LEFT JOIN LATERAL jsonb_array_elements(o.adjustments) a ON true
    WHERE o.adjustments IS NOT NULL OR o.adjustment_amount <> 0
    GROUP BY o.id)"""
# The difference is what is included, in part or all.
ADDED_AGAIN = "stored - added <> 0 AND (stored - added = included OR stored - added = ANY (each_included))"

CHECKS = {
    "Totals: each adjustment that is not included is in the total": f"""
        SELECT id::text, format('adjusted by %s, the adjustments that are not included come to %s', stored, added)
        FROM {SUMS} s WHERE stored <> added AND NOT ({ADDED_AGAIN})
    """,
    "Totals: what is included is not added again": f"""
        SELECT id::text, format('adjusted by %s, of which %s is included in the prices', stored, stored - added)
        FROM {SUMS} s WHERE {ADDED_AGAIN}
    """,
    "Totals: none is below 0": """
        SELECT id::text, format('goods %s, adjusted by %s', goods_amount, adjustment_amount)
        FROM orders_order WHERE goods_amount + adjustment_amount < 0
    """,
    "Totals: amounts are whole units of their currency": """
        SELECT o.id::text, format('%s, %s and %s %s', o.goods_amount, o.adjustment_amount, j.shipping_amount, o.currency)
        FROM orders_order o JOIN orders_journey j ON j.order_id = o.id
        CROSS JOIN LATERAL (SELECT CASE {decimals} ELSE 2 END AS decimals) unit
        WHERE o.goods_amount <> round(o.goods_amount, decimals)
           OR o.adjustment_amount <> round(o.adjustment_amount, decimals)
           OR j.shipping_amount <> round(j.shipping_amount, decimals)
    """,
}
OTHERS = " ".join(f"WHEN o.currency = '{code}' THEN {n}" for code, n in DECIMALS.items() if n != 2)
CHECKS = {name: statement.replace("{decimals}", OTHERS) for name, statement in CHECKS.items()}
