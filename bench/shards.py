"""Sharding by owner, simulated over 1, 2 and 4 databases on this machine.

Lists and sums ask every shard; each has a share of stock.
"""

import contextlib
import heapq
import random
import time
import zlib
from collections import Counter
from collections.abc import Iterator
from itertools import islice

from bench.contestants import Ours
from bench.figures import Figures, measured
from bench.meters import Reading, read
from bench.wanted import PRODUCTS, random_items

ORDERS = 20_000
OWNERS = 200
WORKERS = 4
WARM_UP_ORDERS = 50
PAGE = 50
SECONDS = 240.0
# Orders of the stock simulation; units of each product: what they want in all, and a little more.
WANTED, SPARE = 20_000, 1.1
REFILL = 0.5

LATEST = "SELECT placed_at, id FROM orders_order ORDER BY id DESC LIMIT %s"


class Shards:
    databases = 1
    tokens: list[str] = []

    def __init__(self) -> None:
        self.name = f"{self.databases} database{'s' if self.databases > 1 else ''}"
        self.parts = [Ours() for _ in range(self.databases)]
        self.rig = JointRig(self.name, self.parts)

    def prepare(self) -> None:
        for part in self.parts:
            part.prepare()

    def reset(self) -> None:
        for part in self.parts:
            part.reset()

    def is_idle(self) -> bool:
        return all(part.is_idle() for part in self.parts)

    def audit(self) -> str:
        verdicts = [part.audit() for part in self.parts]
        return next((verdict for verdict in verdicts if "0 violations" not in verdict), verdicts[-1])


class TwoShards(Shards):
    databases = 2


class FourShards(Shards):
    databases = 4


class JointRig:
    def __init__(self, name: str, parts: list[Ours]) -> None:
        self.name, self._parts = name, parts

    def read(self) -> Reading:
        return read(self._groups())

    def pss_megabytes(self) -> dict[str, float]:
        sums: dict[str, float] = {}
        for part in self._parts:
            for name, megabytes in part.rig.pss_megabytes().items():
                sums[name] = sums.get(name, 0.0) + megabytes
        return sums

    def stop_processes(self) -> None:
        for part in self._parts:
            part.rig.stop_processes()

    def stop(self) -> None:
        for part in self._parts:
            part.rig.stop()

    def _groups(self) -> dict[str, list[int]]:
        groups: dict[str, list[int]] = {}
        for part in self._parts:
            for name, pids in part.rig._roots().items():
                groups.setdefault(name, []).extend(pids)
        return groups


def shards(contestant: Shards, seconds: float) -> Figures:  # noqa: ARG001 - a fixed number of orders
    """A backlog drained by all shards at once; then what crosses them."""
    owned = orders_of(contestant.databases)
    for part in contestant.parts:
        part.start_workers(shared=WORKERS // contestant.databases)
        part.place(WARM_UP_ORDERS)
    _until_idle(contestant)
    before_ids = [part.last_id() for part in contestant.parts]
    with contextlib.ExitStack() as frozen:
        for part, count in zip(contestant.parts, owned, strict=True):
            frozen.enter_context(part.rig.frozen(part.freeze()))
            part.place(count)
        before = contestant.rig.read()
    _until_idle(contestant)
    figures = measured("shards", contestant.name, sum(owned), contestant.rig.read().since(before))
    confirmed = sum(part.finished(after) for part, after in zip(contestant.parts, before_ids, strict=True))
    figures.notes |= {
        "confirmed": confirmed,
        "largest shard, % of the orders": 100 * max(owned) / sum(owned),
        "page of all owners, ms": _milliseconds_of_page(contestant),
        "refills of stock per 1,000 orders": 1000 * refills(contestant.databases) / WANTED,
    }
    return figures


def orders_of(databases: int) -> list[int]:
    """Return how many of ORDERS each shard gets, by its owners."""
    counts = Counter(shard_of(owner, databases) for owner in range(OWNERS))
    return [counts[shard] * ORDERS // OWNERS for shard in range(databases)]


def shard_of(owner: int, databases: int) -> int:
    return zlib.crc32(str(owner).encode()) % databases


def refills(databases: int) -> int:
    """Return how often a shard had to take units from another.

    Raises AssertionError if one refuses what another has.
    """
    rng = random.Random(1)  # noqa: S311 - the same orders each time
    orders = [(rng.randrange(OWNERS), random_items(rng)) for _ in range(WANTED)]
    demand: Counter[int] = Counter()
    for _, items in orders:
        demand.update({item["productId"]: item["quantity"] for item in items})
    left = {
        product: [int(demand[product] * SPARE) // databases + 1] * databases
        for product in range(1, PRODUCTS + 1)
    }
    moves = 0
    for owner, items in orders:
        shard = shard_of(owner, databases)
        for item in items:
            shares = left[item["productId"]]
            while shares[shard] < item["quantity"]:
                fullest = max(range(databases), key=lambda other: shares[other])
                assert fullest != shard, "sold out while units are left"
                units = max(1, int(shares[fullest] * REFILL))
                shares[fullest] -= units
                shares[shard] += units
                moves += 1
            shares[shard] -= item["quantity"]
    return moves


def _milliseconds_of_page(contestant: Shards) -> float:
    started = time.perf_counter()
    page = list(islice(heapq.merge(*map(_latest, contestant.parts), reverse=True), PAGE))
    assert len(page) == PAGE
    return 1000 * (time.perf_counter() - started)


def _latest(part: Ours) -> Iterator[tuple[float, int]]:
    part.last_id()  # the connection is open
    connection = part.rig._query_connection
    assert connection is not None
    return iter([(at.timestamp(), order_id) for at, order_id in connection.execute(LATEST, [PAGE])])


def _until_idle(contestant: Shards) -> None:
    until = time.monotonic() + SECONDS
    while not contestant.is_idle():
        if time.monotonic() > until:
            raise TimeoutError(f"{contestant.name}: orders are in flight after {SECONDS:.0f} s")
        time.sleep(0.05)
