"""The payment leg with a provider over the network: calls that are handed over, beside batches that wait for them."""

import contextlib
import time
from collections.abc import Mapping

from bench import stub
from bench.contestants import NOTHING, Contestant, Ours, load
from bench.figures import Figures, measured, quantiles
from bench.load import Job
from bench.rig import RigError
from bench.stub import Manner

# What a batch that waits had: threads, as many as are worth having.
THREADS = 64
LONGEST_SECONDS = 240.0
# An order of which a call took longer than this is one of the slow ones.
SLOW_SECONDS = 8.0
# Until late answers are recorded; without a loss it takes about a second.
RECORDED_SECONDS = 20.0
# From the end of the batches until the measurement, so that their work is not in it.
SETTLE_SECONDS = 0.5

NOT_SLOW = """
    SELECT 1000 * extract(epoch FROM pg_xact_commit_timestamp(e.xmin) - o.placed_at)
    FROM orders_order o JOIN orders_orderevent e ON e.order_id = o.id
    WHERE o.id > %s AND e.type = 'order_confirmed' AND NOT EXISTS (
        SELECT FROM payments_transaction t WHERE t.order_id = o.id
        AND t.finished_at - t.started_at > %s * interval '1 second'
    )
"""

# All batches have ended, and this many calls have an unknown outcome.
LEFT = """
    SELECT NOT EXISTS (SELECT FROM orders_batch WHERE finished_at IS NULL)
       AND %s = (SELECT count(*) FROM payments_transaction
                 WHERE order_id > %s AND kind = 'authorize' AND state = 'unknown')
"""
RECORDED = """
    SELECT count(*) FROM payments_transaction
    WHERE order_id > %s AND kind = 'authorize' AND state = 'succeeded'
"""


class Waiting(Ours):
    """Our system as it was: threads make the calls, and a batch waits for its answers."""

    name = "batch waits"
    threads = THREADS

    def start_workers(self, *, shared: int = 0, environment: Mapping[str, str] = NOTHING) -> None:
        old = {"PROVIDER_HANDOVER": "0", "PROVIDER_CONCURRENCY": str(self.threads)}
        super().start_workers(shared=shared, environment={**environment, **old})


class WaitingOnManyThreads(Waiting):
    """As many threads as calls, so that all answers of a batch may be late."""

    name = "batch waits, 1,000 threads"
    threads = 1000


class Backlog:
    """A backlog of orders drained with a provider, one worker for each queue."""

    def __init__(self, name: str, manner: Manner, *, orders: int, orders_of_old: int) -> None:
        self._name, self._manner = name, manner
        self._orders, self._orders_of_old = orders, orders_of_old

    def __call__(self, contestant: Contestant, seconds: float) -> Figures:  # noqa: ARG002 - as many orders as that takes
        environment = stub.start(contestant.rig, self._manner)
        contestant.start_workers(environment=environment)
        self._drain(contestant, 100)  # connections and plans; also the loop's window has been tried out
        orders = self._orders_of_old if isinstance(contestant, Waiting) else self._orders
        return self._drain(contestant, orders)

    def _drain(self, contestant: Contestant, orders: int) -> Figures:
        after = contestant.last_id()
        with contestant.rig.frozen(contestant.freeze()):
            contestant.place(orders)
            before = contestant.rig.read()
        contestant.rig.until(
            lambda: contestant.is_idle() and contestant.last_id() - after >= orders,
            "the orders",
            seconds=LONGEST_SECONDS,
        )
        figures = measured(self._name, contestant.name, orders, contestant.rig.read().since(before))
        figures.milliseconds = quantiles(contestant.latencies(after))
        figures.notes["confirmed"] = contestant.finished(after)
        return figures


class Stragglers:
    """Orders come one by one, and one call in a hundred takes 20 seconds: how long do the others take?"""

    def __init__(self, name: str, manner: Manner, *, rate: float) -> None:
        self._name, self._manner, self._rate = name, manner, rate

    def __call__(self, contestant: Contestant, seconds: float) -> Figures:
        environment = stub.start(contestant.rig, self._manner)
        contestant.start_web()
        contestant.start_workers(environment=environment)
        job = Job(contestant.rig.ports["web"], "/api/orders", contestant.tokens, seconds, 16, self._rate)
        load(contestant.rig, Job(job.port, job.path, job.tokens, 2.0, 4, 10.0))
        contestant.rig.until(contestant.is_idle, "the first orders", seconds=LONGEST_SECONDS)
        after, before = contestant.last_id(), contestant.rig.read()
        tally = load(contestant.rig, job)
        usage = contestant.rig.read().since(before).with_group("load generator", tally.cpu_seconds)
        contestant.rig.until(contestant.is_idle, "the orders", seconds=LONGEST_SECONDS)
        figures = measured(self._name, contestant.name, tally.orders, usage, seconds=tally.seconds)
        with contestant.rig.connect() as connection:
            found = [float(row[0]) for row in connection.execute(NOT_SLOW, [after, SLOW_SECONDS])]
        figures.milliseconds = quantiles(found)
        figures.notes |= {"confirmed": contestant.finished(after), "slow": tally.orders - len(found)}
        return figures


class LateAnswers:
    """Authorizations that are answered once their batch has ended, all at once: how many are recorded, at what cost?

    The dispatcher is frozen meanwhile, so no look-up records what an answer should have. The CPU is that from the
    end of the batches until all are recorded; handed over, it has the preparation of captures in it.
    """

    def __init__(self, name: str, manner: Manner, *, orders: int) -> None:
        self._name, self._manner, self._orders = name, manner, orders

    def __call__(self, contestant: Contestant, seconds: float) -> Figures:  # noqa: ARG002 - as long as it takes
        rig, orders = contestant.rig, self._orders
        contestant.start_workers(environment=stub.start(rig, self._manner))
        self._drain(contestant, 20)  # connections and plans
        after = contestant.last_id()
        with rig.frozen(contestant.freeze()):
            contestant.place(orders)
        rig.until(lambda: bool(rig.value(LEFT, orders, after)), "the end of the batches")
        with rig.frozen(contestant.freeze()):
            time.sleep(SETTLE_SECONDS)
            before, early = rig.read(), rig.value(RECORDED, after)
            with contextlib.suppress(RigError):
                rig.until(
                    lambda: rig.value(RECORDED, after) == orders, "the answers", seconds=RECORDED_SECONDS
                )
            usage, recorded = rig.read().since(before), rig.value(RECORDED, after)
        rig.until(contestant.is_idle, "the orders", seconds=LONGEST_SECONDS)
        figures = measured(self._name, contestant.name, recorded, usage)
        figures.notes |= {"recorded": recorded, "of": orders, "before the measurement": early}
        figures.notes["confirmed"] = contestant.finished(after)
        return figures

    def _drain(self, contestant: Contestant, orders: int) -> None:
        after = contestant.last_id()
        contestant.place(orders)
        contestant.rig.until(
            lambda: contestant.is_idle() and contestant.last_id() - after >= orders,
            "the first orders",
            seconds=LONGEST_SECONDS,
        )
