"""Metrics of the system endpoint: throughput, durations, resources."""

import shutil
from datetime import UTC, datetime
from typing import Any

import psutil
from django.conf import settings
from django.db import connection

from monitoring.health import valkey
from monitoring.prober import Prober, Remembered
from orders.reporting import stats
from orders.status import Status
from scheduling.slots import database_now

DEADLINE_SECONDS = 3.0
STRETCHES = (5, 60)
ENDS = (Status.CONFIRMED, Status.COMPLETED, Status.REJECTED, Status.CANCELLED)

_this_process = psutil.Process()


def throughput() -> dict[str, Any]:
    now = database_now()
    return {f"last{minutes}Minutes": _stretch(stats.last_minutes(minutes, now=now)) for minutes in STRETCHES}


def _stretch(stretch: stats.Stretch) -> dict[str, Any]:
    ended = {status: stretch.ended.get(status, 0) for status in ENDS}
    return {
        "seconds": round(stretch.seconds),
        "placed": stretch.placed,
        "placedPerMinute": stretch.per_minute(stretch.placed),
        **{status.value: orders for status, orders in ended.items()},
        **{f"{status.value}PerMinute": stretch.per_minute(orders) for status, orders in ended.items()},
    }


def durations() -> dict[str, Any]:
    return {
        timing.milestone: {
            "orders": timing.orders,
            **{f"p{quantile * 100:g}": round(seconds, 4) for quantile, seconds in timing.quantiles.items()},
        }
        for timing in stats.timings()
    }


def batches() -> dict[str, Any]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*), coalesce(avg(size), 0)::float8, coalesce(max(size), 0),"
            " percentile_cont(ARRAY[0.5, 0.95]) WITHIN GROUP"
            " (ORDER BY extract(epoch FROM finished_at - started_at)::float8)"
            " FILTER (WHERE finished_at IS NOT NULL)"
            " FROM (SELECT * FROM orders_batch ORDER BY id DESC LIMIT 10000) latest"
            " WHERE started_at > now() - interval '5 minutes'"
        )
        count, average, largest, seconds = cursor.fetchone()
    half, most = seconds or (None, None)
    return {
        "batches": count,
        "averageSize": round(average, 1),
        "largestSize": largest,
        "p50Seconds": half,
        "p95Seconds": most,
    }


def process() -> dict[str, Any]:
    with _this_process.oneshot():
        times = _this_process.cpu_times()
        return {
            "pid": _this_process.pid,
            "startedAt": datetime.fromtimestamp(_this_process.create_time(), tz=UTC),
            "memoryBytes": _this_process.memory_info().rss,
            "cpuSeconds": round(times.user + times.system, 2),
            "threads": _this_process.num_threads(),
            "openFiles": _this_process.num_fds() if hasattr(_this_process, "num_fds") else None,
            "hostCpuPercent": psutil.cpu_percent(interval=None),
            "hostMemoryPercent": psutil.virtual_memory().percent,
        }


def database() -> dict[str, Any]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT coalesce(state, 'other'), count(*) FROM pg_stat_activity"
            " WHERE backend_type = 'client backend' AND datname = current_database() GROUP BY 1"
        )
        by_state = dict(cursor.fetchall())
        cursor.execute("SELECT current_setting('max_connections')::int, pg_database_size(current_database())")
        maximum, size = cursor.fetchone()
    return {"connections": by_state, "maxConnections": maximum, "sizeBytes": size}


def memory() -> dict[str, Any]:
    with valkey(settings.BROKER_URL) as client:
        info = client.info()
    return {
        "memoryBytes": info["used_memory"],
        "maxMemoryBytes": info.get("maxmemory", 0),
        "clients": info["connected_clients"],
        "commandsPerSecond": info["instantaneous_ops_per_sec"],
    }


_prober = Prober(
    {
        "orders": throughput,
        "secondsSincePlaced": durations,
        "batches": batches,
        "process": process,
        "database": database,
        "valkey": memory,
    }
)


def metrics() -> dict[str, Any]:
    """Return all metrics, up to two seconds old; null for failures."""
    return _metrics.get()


def _look() -> dict[str, Any]:
    return {name: answer.value for name, answer in _prober.ask(seconds=DEADLINE_SECONDS).items()}


_metrics = Remembered(_look, seconds=1.5)


def disk() -> dict[str, int]:
    """Return free bytes and size of the data folder's disk."""
    folder = settings.DATA_DIR if settings.DATA_DIR.exists() else settings.BASE_DIR
    usage = shutil.disk_usage(folder)
    return {"free": usage.free, "size": usage.total}
