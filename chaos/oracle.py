"""Invariants I1 to I9, checked against database, provider's ledger and customers' answers."""

import asyncio
import time
from dataclasses import dataclass, field

import psycopg

from chaos.client import NoAnswer, call
from chaos.load import Load, percentile
from chaos.rig import Rig

LONGEST_ANSWER = 5.0  # seconds
REPLAYED = 10
AUDITS = 3
AT_REST = "('confirmed', 'completed', 'cancelled', 'rejected')"
ENDS = "('order_confirmed', 'order_rejected', 'order_cancelled')"

UNREST = f"""
    SELECT count(*) FROM orders_journey
    WHERE attention = '' AND (due_at IS NOT NULL OR status NOT IN {AT_REST})
"""  # noqa: S608
# Seconds from the last fault that hit an order, unless it waited for its provider, to its next event.
RESUMED = """
    SELECT extract(epoch FROM next)::float8 - max(at) FROM (
        SELECT p.order_id, f.at, min(e.at) AS next FROM unnest(%s::float8[]) AS f(at)
        JOIN orders_orderevent p ON p.sequence = 1 AND p.at < to_timestamp(f.at) AND p.order_id >= %s
        JOIN orders_orderevent e ON e.order_id = p.order_id AND e.at > to_timestamp(f.at)
        WHERE e.sequence <= (SELECT min(sequence) FROM orders_orderevent t
                             WHERE t.order_id = p.order_id AND t.type IN {ends})
          AND 'order_waiting' <> (SELECT type FROM orders_orderevent t WHERE t.order_id = p.order_id
                                  AND t.at <= to_timestamp(f.at) ORDER BY t.sequence DESC LIMIT 1)
        GROUP BY p.order_id, f.at
    ) hit GROUP BY order_id, next
""".replace("{ends}", ENDS)
# … and to its end.
RECOVERED = f"""
    SELECT extract(epoch FROM j.at)::float8 - max(f.at) FROM unnest(%s::float8[]) AS f(at)
    JOIN orders_orderevent p ON p.sequence = 1 AND p.at < to_timestamp(f.at) AND p.order_id >= %s
    JOIN LATERAL (SELECT min(at) AS at FROM orders_orderevent t WHERE t.order_id = p.order_id AND t.type IN {ENDS}) j
        ON j.at > to_timestamp(f.at)
    GROUP BY p.order_id, j.at
"""  # noqa: S608


@dataclass(slots=True)
class Finding:
    orders: int = 0
    violations: list[str] = field(default_factory=list)
    settled_after: float = 0.0  # seconds from the last fault until everything was at rest
    resumed: list[float] = field(default_factory=list)
    recovered: list[float] = field(default_factory=list)
    post: list[float] = field(default_factory=list)
    before_a_person: int = 0


async def judge(
    rig: Rig, load: Load, *, faults: list[float], healed_at: float, within: float, first_order: int
) -> Finding:
    """Wait until everything is at rest, then check every invariant."""
    finding = Finding(orders=len(load.accepted), violations=list(load.violations), post=load.answered())
    await _rest(rig, finding, healed_at, within)
    finding.violations += await asyncio.to_thread(_accepted_are_there, rig, load)
    finding.violations += await _replays(rig, load)
    finding.violations += _answers(load)
    await _people(rig, finding)
    finding.violations += await _nothing_under_way(rig)
    finding.resumed = await asyncio.to_thread(_seconds, rig, RESUMED, faults, first_order)
    finding.recovered = await asyncio.to_thread(_seconds, rig, RECOVERED, faults, first_order)
    finding.violations += await _audit(rig)
    return finding


async def _audit(rig: Rig) -> list[str]:
    """Run the audit; a busy machine may need several attempts to read the provider's ledger."""
    for _ in range(AUDITS):
        status, output = await rig.manage("audit")
        if "without the provider" not in output:
            break
    return [f"I2-I5: {output.strip()[-1500:]}"] if status or "without the provider" in output else []


def unrest(rig: Rig) -> int:
    """Return the orders neither at rest nor escalated; very many if the database is away."""
    try:
        return int(rig.rows(UNREST)[0][0])
    except psycopg.Error:
        return 1_000_000


async def _rest(rig: Rig, finding: Finding, healed_at: float, within: float) -> None:
    left = max(1.0, healed_at + within - time.time())
    if not await rig.until(lambda: unrest(rig) == 0, seconds=left):
        stuck = rig.rows(
            "SELECT order_id, status, stock, shipping, payment, attempts, waiting_for, due_at - now() FROM"  # noqa: S608
            f" orders_journey WHERE attention = '' AND (due_at IS NOT NULL OR status NOT IN {AT_REST}) LIMIT 5"
        )
        finding.violations.append(
            f"I1: {unrest(rig)} orders are not at rest after {within:.0f} s, such as {stuck}"
        )
        await rig.until(lambda: unrest(rig) == 0, seconds=60)
    finding.settled_after = time.time() - healed_at


def _accepted_are_there(rig: Rig, load: Load) -> list[str]:
    ids = sorted(load.accepted.values())
    there = {row[0] for row in rig.rows("SELECT id FROM orders_order WHERE id = ANY(%s)", ids)}
    lost = [order_id for order_id in ids if order_id not in there]
    twice = rig.rows(
        "SELECT customer_name, count(*) FROM orders_order WHERE customer_name LIKE %s GROUP BY 1 HAVING count(*) > 1",
        f"{load.tag}-%",
    )
    found = [f"I1: {len(lost)} accepted orders are not there, such as {lost[:5]}"] if lost else []
    return found + ([f"I7: one key, several orders: {twice[:5]}"] if twice else [])


async def _replays(rig: Rig, load: Load) -> list[str]:
    """The same request gets the same answer, byte for byte."""
    found = []
    for key in list(load.first_answers)[-REPLAYED:]:
        headers = {"Idempotency-Key": key}
        try:
            answer = await call(
                rig.web_ports[0], "POST", "/api/orders", body=load.bodies[key], headers=headers
            )
        except (NoAnswer, TimeoutError) as error:
            found.append(f"I9: no answer although nothing is broken any more: {error!r}")
            continue
        if answer.body != load.first_answers[key]:
            found.append(f"I7: {key} was answered {load.first_answers[key]!r}, then {answer.body!r}")
    return found


def _answers(load: Load) -> list[str]:
    """2xx and 4xx, or 503 with Retry-After, within 5 seconds."""
    late = [a for a in load.attempts if a.seconds > LONGEST_ANSWER and a.what != "no answer"]
    wrong = [a for a in load.attempts if a.what.isdigit() and int(a.what) >= 500 and not _is_polite(a)]
    found = [f"I9: {len(late)} answers took over 5 s, such as {late[0]}"] if late else []
    return found + ([f"I9: {len(wrong)} answers such as {wrong[0]}"] if wrong else [])


def _is_polite(attempt: object) -> bool:
    return getattr(attempt, "what", "") == "503" and bool(getattr(attempt, "retry_after", False))


async def _people(rig: Rig, finding: Finding) -> None:
    """Retry each escalated order once, as an operator would."""
    waiting = rig.rows(
        "SELECT order_id, attention, status, due_at IS NULL FROM orders_journey WHERE attention <> ''"
    )
    finding.before_a_person = len(waiting)
    unexplained = [row[0] for row in waiting if not row[1].strip()]
    finding.violations += [f"I1: escalated without a reason: {unexplained[:5]}"] if unexplained else []
    open_ones = [row[0] for row in waiting if row[2] in ("pending", "processing", "cancelling")]
    if not open_ones:
        return
    headers = {"Authorization": f"Token {rig.token_of('admin')}"}
    for order_id in open_ones:
        await call(rig.web_ports[0], "POST", f"/api/orders/{order_id}/retry", headers=headers)

    def all_rest() -> bool:
        statement = f"SELECT count(*) FROM orders_journey WHERE due_at IS NOT NULL OR status NOT IN {AT_REST}"  # noqa: S608
        return int(rig.rows(statement)[0][0]) == 0

    if not await rig.until(all_rest, seconds=30):
        left = rig.rows(
            "SELECT order_id, status, attention, waiting_for FROM orders_journey WHERE due_at IS NOT NULL"  # noqa: S608
            f" OR status NOT IN {AT_REST} LIMIT 5"
        )
        finding.violations.append(f"I1: retried by an operator, and still not at rest: {left}")


async def _nothing_under_way(rig: Rig) -> list[str]:
    """I8: no batch with a valid lease, and empty queues of the steps."""

    def idle() -> bool:
        under_way = rig.rows(
            "SELECT count(*) FROM orders_batch WHERE finished_at IS NULL AND started_at > now() - interval '8 s'"
        )
        with rig.broker() as broker:
            waiting = sum(int(broker.llen(name)) for name in ("orders", "inventory", "shipping", "payments"))
        return not int(under_way[0][0]) and not waiting

    return [] if await rig.until(idle, seconds=30) else ["I8: batches or messages are still under way"]


def _seconds(rig: Rig, statement: str, faults: list[float], first_order: int) -> list[float]:
    if not faults:
        return []
    return sorted(
        max(0.0, float(row[0])) for row in rig.rows(statement, faults, first_order) if row[0] is not None
    )


def spread(values: list[float]) -> str:
    """Return p50/p99/max of ascending seconds, or a dash."""
    if not values:
        return "-"
    return "/".join(f"{value:.1f}" for value in (percentile(values, 50), percentile(values, 99), values[-1]))
