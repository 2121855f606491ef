"""Metrics of the whole system, read from PostgreSQL and Valkey at each scrape.

One scrape of any web process covers all processes. A source that fails omits its own metrics only; see
`orders_scrape_source_up`.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate
from typing import Any

from django.conf import settings
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from monitoring import metrics, nodes, status
from monitoring.prober import Prober, Remembered
from notifications import given_up, visits
from notifications.event_counters import BUCKETS
from notifications.models import EventCount
from orders.maintenance import canary
from orders.maintenance.canary import Flight
from orders.reporting import stats
from runtime import heartbeats
from telemetry import busy_threads, measures

DEADLINE_SECONDS = 4.0
VIOLATIONS = re.compile(r"(\d+) violations")
FOREIGN_LINES = re.compile(r"(\d+) ledger lines of others")
# `quantile` is for summaries alone.
PERCENTILE = "percentile"
BREAKER_STATES = ("closed", "open", "half_open", "unknown")

Source = Callable[[], Any]
SOURCES: dict[str, Source] = {
    **status.QUESTIONS,
    "placed": stats.latest_id,
    "events": lambda: list(EventCount.objects.order_by("type")),
    "measures": measures.totals,
    "canary": canary.flight,
    "live": heartbeats.present,
    "web": busy_threads.processes,
    "webhooks": visits.standings,
    "given_up": given_up.counts,
    "disk": metrics.disk,
    "timings": stats.timings,
    "batches": metrics.batches,
    "database": metrics.database,
    "valkey": metrics.memory,
}
_prober = Prober(SOURCES)


def exposition() -> bytes:
    """Return the metrics in Prometheus' text format, shared by concurrent scrapes."""
    return _exposition.get()


class _SystemCollector(Collector):
    def collect(self) -> Iterator[Metric]:
        """Yield the metrics of all sources, which are read concurrently."""
        answers = _prober.ask(seconds=DEADLINE_SECONDS)
        up = _gauge("scrape_source_up", "Whether a source could be read for this scrape.", "source")
        took = _gauge("scrape_source_seconds", "How long reading a source took.", "source")
        for name, answer in answers.items():
            up.add_metric([name], float(answer.is_back and answer.error is None))
            if answer.seconds is not None:
                took.add_metric([name], answer.seconds)
            if answer.is_back and answer.error is None:
                yield from FAMILIES[name](answer.value)
        yield up
        yield took


def _gauge(name: str, text: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"orders_{name}", text, labels=labels)


def _value(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"orders_{name}", text, value=value)


def _orders(found: dict[str, Any]) -> Iterator[Metric]:
    current = _gauge(
        "current", "Orders by state; large counts of confirmed and completed are estimates.", "state"
    )
    for state, count in found["byState"].items():
        current.add_metric([state], count["orders"])
    yield current
    oldest = found["oldestDue"]
    yield _value("due", "Orders that are due now.", found["due"])
    yield _value("due_later", "Orders that are due later.", found["dueLater"])
    yield _value(
        "due_age_seconds", "How late the oldest due order is.", oldest["lateSeconds"] if oldest else 0
    )
    yield _value("needing_attention", "Orders that need attention.", found["needsAttention"]["orders"])
    yield from _money(found["moneyAtRisk"])
    under_way = found["batches"]
    yield _value("batches_under_way", "Batches in flight.", len(under_way))
    oldest_batch = max((batch["seconds"] for batch in under_way), default=0)
    yield _value("batch_oldest_age_seconds", "Age of the oldest batch in flight.", oldest_batch)


def _money(risks: list[dict[str, Any]]) -> Iterator[Metric]:
    orders = _gauge(
        "money_at_risk_orders", "Orders whose payment is, or may be, in the wrong state.", "currency"
    )
    amount = _gauge(
        "money_at_risk_amount", "The amount of their payments, in units of the currency.", "currency"
    )
    for risk in risks:
        orders.add_metric([risk["currency"]], risk["orders"])
        amount.add_metric([risk["currency"]], float(risk["amount"]))
    yield orders
    yield amount


def _placed(latest_id: int) -> Iterator[Metric]:
    yield CounterMetricFamily(
        "orders_placed", "Orders placed so far, by the latest order's id.", value=latest_id
    )


def _events(counts: list[EventCount]) -> Iterator[Metric]:
    events = CounterMetricFamily("orders_events", "Events in the journal so far.", labels=["type"])
    seconds = HistogramMetricFamily(
        "orders_event_seconds", "Seconds from an order's placement to an event.", labels=["type"]
    )
    for count in counts:
        events.add_metric([count.type], count.events)
        seconds.add_metric([count.type], _cumulative(BUCKETS, count.buckets), count.seconds)
    yield events
    yield seconds


def _cumulative(limits: Sequence[float], counts: Sequence[float]) -> list[tuple[str, float]]:
    """Return cumulative buckets, as Prometheus expects."""
    names = [*(str(limit) for limit in limits), "+Inf"]
    return list(zip(names, accumulate(counts), strict=True))


def _measures(totals: dict[measures.Field, float]) -> Iterator[Metric]:
    by_name: defaultdict[str, defaultdict[tuple[str, ...], dict[str, float]]]
    by_name = defaultdict(lambda: defaultdict(dict))
    for (name, values, part), amount in totals.items():
        by_name[name][values][part] = amount
    for measure in measures.ALL:
        yield _measure(measure, by_name[measure.name])


def _measure(measure: measures.Measure, counted: dict[tuple[str, ...], dict[str, float]]) -> Metric:
    if not measure.buckets:
        counter = CounterMetricFamily(f"orders_{measure.name}", measure.text, labels=measure.labels)
        for values, parts in counted.items():
            counter.add_metric(values, parts[measures.SUM])
        return counter
    histogram = HistogramMetricFamily(f"orders_{measure.name}", measure.text, labels=measure.labels)
    for values, parts in counted.items():
        counts = [parts.get(str(place), 0.0) for place in range(len(measure.buckets) + 1)]
        buckets = _cumulative(measure.buckets, counts)
        histogram.add_metric(values, buckets, parts.get(measures.SUM, 0.0))
    return histogram


def _canary(flight: Flight) -> Iterator[Metric]:
    success = _gauge("canary_success_timestamp_seconds", "When the last canary order was confirmed.")
    seconds = _gauge("canary_seconds", "Seconds from its placement to its confirmation.")
    if flight.last_success_at is not None and flight.last_seconds is not None:
        success.add_metric([], flight.last_success_at.timestamp())
        seconds.add_metric([], flight.last_seconds)
    yield success
    yield seconds


def _live(present: list[heartbeats.Presence]) -> Iterator[Metric]:
    sockets = _gauge("live_sockets", "Open sockets of the live view.", "node", "pid")
    for server in present:
        if server.name == "live" and server.is_alive:
            sockets.add_metric([server.node, str(server.pid)], server.facts.get("sockets", 0))
    yield sockets


def _webhooks(found: dict[str, int]) -> Iterator[Metric]:
    subscriptions = _gauge("webhook_subscriptions", "Webhook subscriptions by state.", "state")
    for state, count in found.items():
        subscriptions.add_metric([state], count)
    yield subscriptions


def _given_up(found: dict[str, int]) -> Iterator[Metric]:
    messages = _gauge(
        "messages_given_up", "E-mails and webhooks that were given up and not sent again.", "kind"
    )
    for kind, count in found.items():
        messages.add_metric([kind], count)
    yield messages


def _disk(found: dict[str, int]) -> Iterator[Metric]:
    yield _value("disk_free_bytes", "Free space on the disk of the data folder.", found["free"])
    yield _value("disk_size_bytes", "Size of that disk.", found["size"])


def _timings(found: list[stats.Timing]) -> Iterator[Metric]:
    seconds = _gauge(
        "milestone_seconds",
        "Seconds from placement to a milestone, of the latest confirmed orders.",
        "milestone",
        PERCENTILE,
    )
    for timing in found:
        for quantile, value in timing.quantiles.items():
            seconds.add_metric([timing.milestone, f"{quantile * 100:g}"], value)
    yield seconds


def _batches(found: dict[str, Any]) -> Iterator[Metric]:
    yield _value("batches_recent", "Batches of the last five minutes.", found["batches"])
    yield _value("batch_size_average", "Orders per batch, over the last five minutes.", found["averageSize"])
    yield _value(
        "batch_size_largest", "Orders of the largest batch of the last five minutes.", found["largestSize"]
    )
    seconds = _gauge("batch_seconds", "How long the batches of the last five minutes took.", PERCENTILE)
    for percentile, name in (("50", "p50Seconds"), ("95", "p95Seconds")):
        if found[name] is not None:
            seconds.add_metric([percentile], found[name])
    yield seconds


def _queues(found: dict[str, Any]) -> Iterator[Metric]:
    waiting = _gauge("queue_messages", "Messages waiting in a queue.", "queue")
    taken = _gauge("queue_unacknowledged", "Messages fetched and not yet acknowledged.", "queue")
    for queue, counts in found.items():
        waiting.add_metric([queue], counts["depth"])
        taken.add_metric([queue], counts["unacknowledged"])
    yield waiting
    yield taken


def _processes(found: dict[str, Any]) -> Iterator[Metric]:
    per_queue = _gauge("queue_workers", "Live workers that fetch from a queue.", "queue")
    fetching = Counter(q for w in found["workers"] if w["alive"] for q in w.get("queues", ()))
    for queue in settings.QUEUES:
        per_queue.add_metric([queue], fetching[queue])
    yield per_queue
    alive = _gauge("worker_up", "Whether a worker sent a heartbeat recently.", "worker")
    active = _gauge("worker_tasks_active", "Tasks that a worker is running.", "worker")
    processed = CounterMetricFamily(
        "orders_worker_tasks", "Tasks that a worker has started.", labels=["worker"]
    )
    busy = _gauge("worker_busy_seconds", "How long a worker's current task has been running.", "worker")
    for worker in found["workers"]:
        name = f"{worker['name']}:{worker['pid']}"
        alive.add_metric([name], worker["alive"])
        active.add_metric([name], worker.get("active", 0))
        processed.add_metric([name], worker.get("processed", 0))
        busy.add_metric([name], worker.get("busySeconds", 0))
    yield from (alive, active, processed, busy)
    others = _gauge("process_up", "Whether a process sent a heartbeat recently.", "process", "pid")
    for other in found["others"]:
        others.add_metric([other["name"], str(other["pid"])], other["alive"])
    yield others


def _schedule(found: dict[str, Any]) -> Iterator[Metric]:
    started = _gauge("scheduled_run_timestamp_seconds", "When a scheduled task last started.", "name")
    finished = _gauge("scheduled_run_finished", "Whether the last run of a scheduled task has ended.", "name")
    failed = _gauge(
        "scheduled_run_failed", "Whether the last run of a scheduled task failed or was interrupted.", "name"
    )
    for run in found["runs"]:
        failed.add_metric([run["name"]], run["failed"])
        started.add_metric([run["name"]], run["startedAt"].timestamp())
        finished.add_metric([run["name"]], run["finishedAt"] is not None)
    yield started
    yield finished
    yield failed
    yield from _audit({run["name"]: run["outcome"] for run in found["runs"]}.get("audit", ""))


def _audit(outcome: str) -> Iterator[Metric]:
    """The last audit's result; none while it runs, or if it failed."""
    violations = _gauge("audit_violations", "Violations that the last audit found.")
    if found := VIOLATIONS.search(outcome):
        violations.add_metric([], float(found[1]))
    yield violations
    foreign = _gauge(
        "audit_foreign_ledger_lines", "Lines of the provider's ledger that match no payment of ours."
    )
    if found:
        others = FOREIGN_LINES.search(outcome)
        foreign.add_metric([], float(others[1]) if others else 0.0)
    yield foreign


def _providers(found: dict[str, Any]) -> Iterator[Metric]:
    state = _gauge("breaker_state", "1 for the state that a provider's breaker is in.", "provider", "state")
    up = _gauge("provider_up", "Whether a provider passed its last health check.", "provider")
    latency = _gauge("provider_latency_seconds", "Duration of that check.", "provider")
    for name, facts in found.items():
        for possible in BREAKER_STATES:
            state.add_metric([name, possible], facts["breaker"]["state"] == possible)
        if facts["lastCheck"]:
            up.add_metric([name], facts["lastCheck"]["ok"])
            latency.add_metric([name], facts["lastCheck"]["latencyMs"] / 1000)
    yield from (state, up, latency)


def _database(found: dict[str, Any]) -> Iterator[Metric]:
    connections = _gauge("database_connections", "Connections to PostgreSQL by state.", "state")
    for state, count in found["connections"].items():
        connections.add_metric([state], count)
    yield connections
    yield _value("database_connections_max", "PostgreSQL's max_connections.", found["maxConnections"])
    yield _value("database_size_bytes", "Size of the database.", found["sizeBytes"])


def _valkey(found: dict[str, Any]) -> Iterator[Metric]:
    yield _value("valkey_memory_bytes", "Memory that Valkey uses.", found["memoryBytes"])
    yield _value("valkey_memory_max_bytes", "Valkey's maxmemory; 0: no limit.", found["maxMemoryBytes"])
    yield _value("valkey_clients", "Connections to Valkey.", found["clients"])


def _versions(found: dict[str, Any]) -> Iterator[Metric]:
    yield InfoMetricFamily("orders_build", "Versions of the software.", value=found)


def _web(processes: list[busy_threads.WebProcess]) -> Iterator[Metric]:
    busy = _gauge(
        "web_threads_busy", "The most threads that were busy at once in the last seconds.", "node", "pid"
    )
    threads = _gauge("web_threads", "Threads of a web process.", "node", "pid")
    for process in processes:
        busy.add_metric([process.node, str(process.pid)], process.busy)
        threads.add_metric([process.node, str(process.pid)], process.threads)
    yield busy
    yield threads


FAMILIES: dict[str, Callable[[Any], Iterator[Metric]]] = {
    "orders": _orders,
    "queues": _queues,
    "processes": _processes,
    "schedule": _schedule,
    "providers": _providers,
    "versions": _versions,
    "nodes": nodes.families,
    "placed": _placed,
    "events": _events,
    "measures": _measures,
    "canary": _canary,
    "live": _live,
    "web": _web,
    "webhooks": _webhooks,
    "given_up": _given_up,
    "disk": _disk,
    "timings": _timings,
    "batches": _batches,
    "database": _database,
    "valkey": _valkey,
}

_registry = CollectorRegistry()
# No describe(): registration would read all sources at import.
_registry.register(_SystemCollector())
_exposition = Remembered(lambda: generate_latest(_registry), seconds=1.0)
