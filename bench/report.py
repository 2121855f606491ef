"""The results of all runs, as a table and as JSON."""

import os
import platform
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypedDict

import psutil

from bench.contestants import Textbook
from bench.figures import Figures, median
from bench.scenarios import Scenario

GROUPS = (
    "web",
    "workers",
    "dispatcher",
    "live",
    "sandbox",
    "provider",
    "postgres",
    "valkey",
    "load generator",
)


class Results(TypedDict):
    at: str
    rig: dict[str, Any]
    scenarios: dict[str, dict[str, Any]]
    failures: list[str]
    clean: bool


def collected(
    chosen: Sequence[Scenario], runs: Sequence[Figures], failures: list[str], *, seconds: float
) -> Results:
    return Results(
        at=datetime.now(UTC).isoformat(timespec="seconds"),
        rig=rig() | {"seconds of each run": seconds or "as in each scenario"},
        scenarios={scenario.name: _summary(scenario, runs) for scenario in chosen},
        failures=failures,
        clean=all("0 violations" in run.verdict for run in runs if run.contestant != Textbook.name),
    )


def _summary(scenario: Scenario, runs: Sequence[Figures]) -> dict[str, Any]:
    by_name: dict[str, list[Figures]] = {}
    for run in runs:
        if run.scenario == scenario.name:
            by_name.setdefault(run.contestant, []).append(run)
    return {"title": scenario.title, "who": {name: _middle(own) for name, own in by_name.items()}}


def _middle(runs: Sequence[Figures]) -> dict[str, Any]:
    middle = median(runs)
    return asdict(middle) | {
        "rounds": len(runs),
        "per_second": middle.per_second,
        "micros_per_order": middle.micros_per_order,
        "runs": [asdict(run) | {"per_second": run.per_second} for run in runs],
    }


def rig() -> dict[str, Any]:
    return {
        "cpu": _cpu_name(),
        "cores": os.cpu_count(),
        "memory GB": round(psutil.virtual_memory().total / 2**30),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "engines": "PostgreSQL 18 (fsync and synchronous_commit on), Valkey 9 (AOF every second), on loopback",
        "where": "engines, processes and load generator all on this machine",
    }


def _cpu_name() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor()


# --- The table --------------------------------------------------------------------------------------------

HEADINGS = (
    "scenario", "who", "n", "orders/s", "CPU µs/order", *GROUPS, "p50 ms", "p95 ms", "p99 ms", "PSS MB",
    "other", "steal", "audit",
)  # fmt: skip


def table(results: Results) -> str:
    rows = [HEADINGS, tuple("---" for _ in HEADINGS)]
    for name, scenario in results["scenarios"].items():
        competitors = list(scenario["who"].values())
        rows += [_row(name, figures) for figures in competitors]
        if len(competitors) == 2:
            rows.append(_ratios(*competitors))
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    rig_lines = [f"- {name}: {value}" for name, value in results["rig"].items()]
    notes = [note for name, scenario in results["scenarios"].items() for note in _notes(name, scenario)]
    failures = [f"- FAILED {failure}" for failure in results["failures"]]
    return "\n".join([f"# Benchmark of {results['at']}", "", *rig_lines, "", *lines, "", *notes, *failures])


def _row(name: str, figures: dict[str, Any]) -> tuple[str, ...]:
    micros, milliseconds = figures["micros"], figures["milliseconds"]
    return (
        name,
        figures["contestant"],
        str(figures["rounds"]),
        _number(figures["per_second"]),
        _number(figures["micros_per_order"]),
        *(_number(micros.get(group)) for group in GROUPS),
        *(_number(milliseconds.get(quantile)) for quantile in ("p50", "p95", "p99")),
        _number(sum(figures["megabytes"].values())),
        f"{figures['others']:.0%}",
        f"{figures['steal']:.0%}",
        "clean" if "0 violations" in figures["verdict"] else figures["verdict"] or "–",
    )


def _ratios(first: dict[str, Any], second: dict[str, Any]) -> tuple[str, ...]:
    faster = _times(first["per_second"], second["per_second"])
    cheaper = _times(second["micros_per_order"], first["micros_per_order"])
    sooner = [
        _times(second["milliseconds"].get(q, 0), first["milliseconds"].get(q, 0))
        for q in ("p50", "p95", "p99")
    ]
    return ("", "ratio", "", faster, cheaper, *("" for _ in GROUPS), *sooner, "", "", "", "")


def _times(more: float, less: float) -> str:
    return f"{more / less:,.1f} ×" if more and less else ""


def _number(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:,.0f}" if value >= 100 else f"{value:,.1f}"


def _noted(note: str, value: float) -> str:
    """Return a share with two decimals, and other values without those that are zero."""
    text = f"{value:,.2f}"
    return text if note.startswith("%") else text.removesuffix(".00")


def _notes(name: str, scenario: dict[str, Any]) -> list[str]:
    found = []
    for who, figures in scenario["who"].items():
        if notes := figures["notes"]:
            told = ", ".join(f"{note} {_noted(note, value)}" for note, value in notes.items())
            found.append(f"- {name}, {who}: {told}")
    return found
