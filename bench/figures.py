"""Results of benchmark runs."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

from bench.meters import Usage

QUANTILES = (0.5, 0.95, 0.99)
LEFT_OUT = ("load generator", "provider")


@dataclass(slots=True)
class Figures:
    """Results of one run of a scenario by one contestant."""

    scenario: str
    contestant: str
    orders: int
    seconds: float
    micros: dict[str, float] = field(default_factory=dict)  # CPU per order
    milliseconds: dict[str, float] = field(default_factory=dict)  # p50, p95, p99
    megabytes: dict[str, float] = field(default_factory=dict)  # PSS
    others: float = 0.0  # share of the machine used by other programs
    steal: float = 0.0  # share taken by the hypervisor
    verdict: str = ""
    notes: dict[str, float] = field(default_factory=dict)

    @property
    def per_second(self) -> float:
        return self.orders / self.seconds if self.seconds else 0.0

    @property
    def micros_per_order(self) -> float:
        """Microseconds of CPU per order, without the load generator and the provider's stub."""
        return sum(used for group, used in self.micros.items() if group not in LEFT_OUT)


def measured(scenario: str, contestant: str, orders: int, usage: Usage, *, seconds: float = 0.0) -> Figures:
    return Figures(
        scenario,
        contestant,
        orders,
        seconds or usage.seconds,
        micros=usage.micros_per(orders),
        others=usage.others,
        steal=usage.steal,
    )


def quantiles(values: Sequence[float]) -> dict[str, float]:
    """Return p50, p95 and p99; empty for no values."""
    ranked = sorted(values)
    return {
        f"p{q * 100:.0f}": ranked[min(len(ranked) - 1, int(q * len(ranked)))] for q in QUANTILES if ranked
    }


def median(runs: Sequence[Figures]) -> Figures:
    first = runs[0]
    return Figures(
        first.scenario,
        first.contestant,
        int(statistics.median(run.orders for run in runs)),
        _rate_seconds(runs),
        micros=_medians([run.micros for run in runs]),
        milliseconds=_medians([run.milliseconds for run in runs]),
        megabytes=_medians([run.megabytes for run in runs]),
        others=statistics.median(run.others for run in runs),
        steal=statistics.median(run.steal for run in runs),
        verdict=next((run.verdict for run in runs if "0 violations" not in run.verdict), first.verdict),
        notes=_medians([run.notes for run in runs]),
    )


def _rate_seconds(runs: Sequence[Figures]) -> float:
    rate = statistics.median(run.per_second for run in runs)
    return (
        statistics.median(run.orders for run in runs) / rate
        if rate
        else statistics.median(r.seconds for r in runs)
    )


def _medians(mappings: Sequence[dict[str, float]]) -> dict[str, float]:
    names = dict.fromkeys(name for mapping in mappings for name in mapping)
    return {name: statistics.median(m[name] for m in mappings if name in m) for name in names}
