"""What the audit checks of money: the ledger by itself, with the credits, and beside the provider's.

Sums are over rows. What the provider reversed later does not count.
"""

# Transactions that succeeded and were not reversed.
STANDING = """(
    SELECT t.* FROM payments_transaction t WHERE t.state = 'succeeded' AND t.kind <> 'reversal' AND NOT EXISTS (
        SELECT FROM payments_transaction r
        WHERE r.order_id = t.order_id AND r.kind = 'reversal' AND r.parent = t.number))"""

# What each order's credits have refunded so far.
CREDITED = "(SELECT order_id, sum(amount) AS amount FROM orders_credit WHERE state = 'refunded' GROUP BY 1)"

# What each order paid by hand holds, and what of it the shop may keep, as `payments.receipts.account_of`.
BY_HAND = """(
    SELECT reference, coalesce(sum(amount) FILTER (WHERE kind = 'received'), 0)
               - coalesce(sum(amount) FILTER (WHERE kind IN ('returned', 'void')), 0) AS held,
           coalesce(sum(amount) FILTER (WHERE kind = 'capture'), CASE WHEN bool_or(kind = 'void') THEN 0 END,
                    sum(amount) FILTER (WHERE kind = 'authorize'), 0) AS owed,
           max(recorded_at) FILTER (WHERE kind = 'received') AS since
    FROM payments_manualentry GROUP BY 1)"""

# A confirmed order owes its total without what its credits refunded; while a refund is under way, nothing is certain.
CHECKS = {
    "Money: the books say of each order what it owes": """
        SELECT j.order_id::text, format('%s, owes %s, captured %s, refunded %s', j.status, owed.amount,
               coalesce(t.captured, 0), coalesce(t.refunded, 0))
        FROM orders_journey j JOIN orders_order o ON o.id = j.order_id
        LEFT JOIN (SELECT order_id, sum(amount) FILTER (WHERE kind = 'capture') AS captured,
                          sum(amount) FILTER (WHERE kind = 'refund') AS refunded
                   FROM {standing} s GROUP BY 1) t ON t.order_id = j.order_id
        LEFT JOIN {credited} c ON c.order_id = j.order_id
        CROSS JOIN LATERAL (SELECT CASE WHEN j.status IN ('confirmed', 'completed')
            THEN o.goods_amount + o.adjustment_amount + j.shipping_amount - coalesce(c.amount, 0)
            ELSE 0 END AS amount) owed
        WHERE j.status IN ('confirmed', 'completed', 'cancelled', 'rejected')
          AND NOT (j.payment IN ('refunding', 'moving') AND j.due_at IS NOT NULL)
          AND CASE WHEN j.payment IN ('held', 'moving', 'expired') -- staff capture it, perhaps not all of it
              THEN coalesce(t.captured, 0) - coalesce(t.refunded, 0) NOT BETWEEN 0 AND owed.amount
              ELSE coalesce(t.captured, 0) - coalesce(t.refunded, 0) <> owed.amount END
    """,
    "Money: what was asked for is the order's, under its key": """
        SELECT t.order_id::text, format('%s of %s %s under %s; the order is %s, of %s %s', t.kind, t.amount, t.currency,
               t.key, o.uuid, o.goods_amount + o.adjustment_amount + j.shipping_amount, o.currency)
        FROM payments_transaction t JOIN orders_order o ON o.id = t.order_id JOIN orders_journey j ON j.order_id = o.id
        WHERE t.reference <> o.uuid OR t.currency <> o.currency
           OR t.key <> o.uuid || ':' || t.kind || CASE WHEN t.number < 10 THEN '' ELSE ':' || t.number / 10 + 1 END
           OR (t.kind IN ('authorize', 'capture', 'void') AND CASE
               -- In parts: the sum of captures has a check of its own, and a void is of the rest.
               WHEN t.kind <> 'authorize' AND EXISTS (SELECT FROM orders_orderevent e WHERE e.order_id = t.order_id
                                                      AND e.type = 'capture_requested')
               THEN t.amount > o.goods_amount + o.adjustment_amount + j.shipping_amount
               ELSE t.amount IS DISTINCT FROM o.goods_amount + o.adjustment_amount + j.shipping_amount END)
    """,
    "Money: no more is captured than was authorized": """
        SELECT order_id::text, format('authorized %s, captures of %s', authorized, captured)
        FROM (SELECT order_id, sum(amount) FILTER (WHERE kind = 'authorize' AND state = 'succeeded') AS authorized,
                     sum(amount) FILTER (WHERE kind = 'capture' AND state <> 'declined') AS captured
              FROM payments_transaction GROUP BY 1) sums
        WHERE captured > coalesce(authorized, 0)
    """,
    "Money: no more is refunded than was captured": """
        SELECT order_id::text, format('captured %s, refunds of %s', captured, refunded)
        FROM (SELECT t.order_id, sum(amount) FILTER (WHERE kind = 'capture' AND state = 'succeeded') AS captured,
                     sum(amount) FILTER (WHERE kind = 'refund' AND state <> 'declined' AND r.parent IS NULL) AS refunded
              FROM payments_transaction t
              LEFT JOIN (SELECT order_id, parent FROM payments_transaction WHERE kind = 'reversal') r
                  ON r.order_id = t.order_id AND r.parent = t.number
              GROUP BY 1) sums
        WHERE refunded > coalesce(captured, 0)
    """,
    "Money: no more of a capture is refunded than it took": """
        SELECT c.order_id::text, format('capture %s of %s, refunds of it %s', c.number, c.amount, r.amount)
        FROM payments_transaction c JOIN (
            SELECT t.order_id, t.parent, sum(t.amount) AS amount FROM payments_transaction t
            WHERE t.kind = 'refund' AND t.state <> 'declined' AND NOT EXISTS (
                SELECT FROM payments_transaction r
                WHERE r.order_id = t.order_id AND r.kind = 'reversal' AND r.parent = t.number)
            GROUP BY 1, 2) r ON r.order_id = c.order_id AND r.parent = c.number
        WHERE r.amount > c.amount OR c.kind <> 'capture'
    """,
    "Money: an order that staff capture has not all of it captured": """
        SELECT j.order_id::text, format('%s, authorized %s, captured %s', j.payment, a.amount, c.amount)
        FROM orders_journey j
        LEFT JOIN payments_transaction a ON a.order_id = j.order_id AND a.kind = 'authorize' AND a.state = 'succeeded'
        LEFT JOIN LATERAL (SELECT coalesce(sum(t.amount), 0) AS amount FROM payments_transaction t
            WHERE t.order_id = j.order_id AND t.kind = 'capture' AND t.state = 'succeeded') c ON true
        WHERE j.payment IN ('held', 'moving') AND j.due_at IS NULL AND j.status IN ('confirmed', 'completed')
          AND c.amount >= coalesce(a.amount, 0)
    """,
    "Money: a reversal is of what succeeded": """
        SELECT r.order_id::text, format('number %s reverses %s, which is %s', r.number, r.parent,
               coalesce(p.state, 'unknown here'))
        FROM payments_transaction r
        LEFT JOIN payments_transaction p ON p.order_id = r.order_id AND p.number = r.parent
        WHERE r.kind = 'reversal' AND p.state IS DISTINCT FROM 'succeeded'
    """,
    "Money: each credit is refunded once": """
        SELECT c.order_id::text, format('credit %s of %s is %s, refunds for it: %s of %s', c.number, c.amount, c.state,
               coalesce(t.count, 0), coalesce(t.amount, 0))
        FROM orders_credit c
        LEFT JOIN (SELECT order_id, credit, count(*), sum(amount) AS amount FROM {standing} s
                   WHERE credit IS NOT NULL GROUP BY 1, 2) t ON t.order_id = c.order_id AND t.credit = c.number
        -- A refund is of one capture: a credit may have several.
        WHERE (c.state = 'refunded') <> (coalesce(t.amount, 0) = c.amount)
          AND NOT (c.state = 'requested' AND t.amount = c.amount)
           OR t.amount > c.amount
        UNION ALL
        SELECT t.order_id::text, format('refund %s is for credit %s, which there is not', t.number, t.credit)
        FROM payments_transaction t
        WHERE t.credit IS NOT NULL AND NOT EXISTS (
            SELECT FROM orders_credit c WHERE c.order_id = t.order_id AND c.number = t.credit)
    """,
    "Money: no more units are refunded than were ordered": """
        SELECT u.order_id::text, format('product %s: refunded %s of %s', u.product_id, u.units, coalesce(l.quantity, 0))
        FROM (SELECT c.order_id, (line->>0)::bigint AS product_id, coalesce((line->>3)::int, 0) AS number,
                     sum((line->>1)::int) AS units
              FROM orders_credit c CROSS JOIN LATERAL jsonb_array_elements(c.lines) line
              WHERE c.state <> 'superseded' GROUP BY 1, 2, 3) u
        LEFT JOIN orders_orderline l
            ON l.order_id = u.order_id AND l.product_id = u.product_id AND l.number = u.number
        WHERE u.units > coalesce(l.quantity, 0)
    """,
    "Money: nothing is held for an order that ended without it": """
        SELECT j.order_id::text, format('%s, and %s is neither taken nor let go', j.status, a.amount)
        FROM payments_transaction a JOIN orders_journey j ON j.order_id = a.order_id
        WHERE a.kind = 'authorize' AND a.state = 'succeeded' AND j.status IN ('cancelled', 'rejected')
          AND a.amount > coalesce((SELECT sum(t.amount) FROM payments_transaction t WHERE t.order_id = a.order_id
                                   AND t.kind IN ('capture', 'void') AND t.state = 'succeeded'), 0)
    """,
    "Money: what is decided later is looked up until then": """
        SELECT j.order_id::text, format('%s, and its %s is %s, but never looked up', j.status, t.kind, t.code)
        FROM payments_transaction t JOIN orders_journey j ON j.order_id = t.order_id
        WHERE t.state = 'unknown' AND t.code IN ('pending', 'action_required') AND t.kind <> 'dispute'
          AND j.due_at IS NULL AND j.attention = ''
    """,
    "Money: no order waits for its payment after the time to pay": """
        SELECT j.order_id::text, format('to be paid by %s', t.action->>'payBy')
        FROM payments_transaction t JOIN orders_journey j ON j.order_id = t.order_id
        WHERE t.kind = 'authorize' AND t.state = 'unknown' AND j.status = 'processing' AND j.attention = ''
          AND (t.action->>'payBy')::timestamptz < now() - interval '1 hour'
    """,
    "Money: of what arrived by hand, pay it back by hand what is too much": """
        SELECT o.id::text, format('%s, and %s is too much', j.status, m.held - m.owed)
        FROM {by_hand} m
        JOIN orders_order o ON o.uuid = m.reference JOIN orders_journey j ON j.order_id = o.id
        WHERE m.held > m.owed AND j.attention = '' AND j.status IN ('confirmed', 'completed', 'cancelled', 'rejected')
    """,
    "Money: no order at rest waits for the provider's answer": """
        SELECT j.order_id::text, format('%s, and nobody knows what came of its %s', j.status, t.kind)
        FROM payments_transaction t JOIN orders_journey j ON j.order_id = t.order_id
        WHERE t.state = 'unknown' AND t.kind <> 'dispute' AND j.status NOT IN ('processing', 'cancelling')
          AND NOT (j.payment IN ('refunding', 'moving') AND j.due_at IS NOT NULL)
    """,
}
CHECKS = {
    name: statement.replace("{standing}", STANDING)
    .replace("{credited}", CREDITED)
    .replace("{by_hand}", BY_HAND)
    for name, statement in CHECKS.items()
}

# A reference is ours if an order, live or archived, has it. The provider's account may have other users.
IS_FOREIGN = """
    NOT EXISTS (SELECT FROM orders_order o WHERE o.uuid = p.reference)
    AND NOT EXISTS (SELECT FROM orders_archivedorder a WHERE a.uuid = p.reference)
"""
LET_FOREIGN_GO = f"DELETE FROM provider_ledger p WHERE {IS_FOREIGN}"  # noqa: S608

# The provider's balance of each order beside ours. Only orders at rest before the ledger was read are
# comparable, and of these not the ones with a refund since. With a window, an older order may have no line.
LEDGER_CHECK = """
    WITH provider_ledger AS (
        SELECT reference, sum(captured) AS captured, sum(refunded) AS refunded, sum(held) AS held,
               sum(captures) AS captures, max(flaw) AS flaw
        FROM pg_temp.provider_ledger GROUP BY reference)
    SELECT coalesce(o.id, a.id)::text, 'the provider''s line of it cannot be read: ' || p.flaw
    FROM provider_ledger p
    LEFT JOIN orders_order o ON o.uuid = p.reference
    LEFT JOIN orders_archivedorder a ON a.uuid = p.reference
    WHERE p.flaw <> ''
    UNION ALL
    SELECT coalesce(o.id, a.id)::text,
           format('%s: provider took %s in %s captures, gave back %s, holds %s; order owes %s',
                  CASE WHEN a.id IS NOT NULL THEN 'archived' ELSE j.status END,
                  p.captured, p.captures, p.refunded, p.held, owed.amount)
    FROM provider_ledger p
    LEFT JOIN orders_order o ON o.uuid = p.reference
    LEFT JOIN orders_journey j ON j.order_id = o.id
    LEFT JOIN {credited} c ON c.order_id = o.id
    LEFT JOIN orders_archivedorder a ON a.uuid = p.reference
    -- Of an order that staff capture, so much is not captured, and held until it expires: the provider's clock decides.
    LEFT JOIN LATERAL (
        SELECT sum(CASE t.kind WHEN 'authorize' THEN t.amount ELSE -t.amount END) AS amount
        FROM payments_transaction t WHERE t.order_id = o.id AND j.payment IN ('held', 'moving', 'expired')
          AND j.status IN ('confirmed', 'completed') AND t.kind IN ('authorize', 'capture') AND t.state = 'succeeded'
    ) open ON j.payment IN ('held', 'moving', 'expired')
    CROSS JOIN LATERAL (SELECT CASE WHEN j.status IN ('confirmed', 'completed')
                                    THEN o.goods_amount + o.adjustment_amount + j.shipping_amount
                                         - coalesce(c.amount, 0) - coalesce(open.amount, 0)
                                    ELSE coalesce(a.kept_amount, 0) END AS amount) owed
    WHERE p.flaw = '' AND (p.captures > 1 AND p.captures > CASE WHEN a.id IS NULL THEN (
            SELECT count(*) FROM payments_transaction t
            WHERE t.order_id = o.id AND t.kind = 'capture' AND t.state <> 'declined')
        ELSE (SELECT count(*) FROM jsonb_array_elements(a.document->'transactions') t
              WHERE t->>'kind' = 'capture' AND t->>'state' = 'succeeded') END
       OR ((o.id IS NULL OR (j.status IN ('confirmed', 'completed', 'cancelled', 'rejected')
                             AND j.finished_at < (SELECT read_at FROM provider_ledger_read)
                             AND NOT (j.payment IN ('refunding', 'moving') AND j.due_at IS NOT NULL)
                             AND NOT EXISTS (
                                 SELECT FROM payments_transaction t
                                 WHERE t.order_id = o.id AND (t.credit IS NOT NULL OR t.kind = 'capture')
                                 AND t.finished_at >= (SELECT read_at FROM provider_ledger_read))))
           AND (p.captured - p.refunded <> owed.amount OR p.held <> coalesce(open.amount, 0)
                AND NOT (EXISTS (SELECT FROM payments_transaction v WHERE v.order_id = o.id AND v.kind = 'void')
                         AND p.held BETWEEN 0 AND coalesce(open.amount, 0)))))
    UNION ALL
    SELECT j.order_id::text, j.status || ', but the provider has never heard of it'
    FROM orders_journey j JOIN orders_order o ON o.id = j.order_id
    WHERE j.status IN ('confirmed', 'completed') AND j.finished_at < (SELECT read_at FROM provider_ledger_read)
      AND j.payment <> 'free' AND o.placed_at >= (SELECT since FROM provider_ledger_read)
      AND NOT EXISTS (SELECT FROM provider_ledger p WHERE p.reference = o.uuid)
    UNION ALL
    SELECT a.id::text, format('archived as paid with %s, but the provider has never heard of it', a.kept_amount)
    FROM orders_archivedorder a
    WHERE a.kept_amount > 0 AND (SELECT since FROM provider_ledger_read) = '-infinity'
      AND NOT EXISTS (SELECT FROM provider_ledger p WHERE p.reference = a.uuid)
""".replace("{credited}", CREDITED)
