"""The files for Prometheus and Grafana: they name what is exported, and people find what an alert means."""

import json
import re
from pathlib import Path

import pytest
import yaml

from monitoring import prometheus

ROOT = Path(__file__).parent.parent.parent
ALERTS = yaml.safe_load((ROOT / "ops/prometheus/alerts.yml").read_text())
DASHBOARD = json.loads((ROOT / "ops/grafana/dashboard.json").read_text())
MANUAL = (ROOT / "docs/operations.md").read_text()
RULES = [rule for group in ALERTS["groups"] for rule in group["rules"]]
ENDINGS = {
    "counter": ["_total"],
    "histogram": ["_bucket", "_sum", "_count"],
    "info": ["_info"],
    "gauge": [""],
}


@pytest.fixture
def exported(db) -> set[str]:
    prometheus._exposition.forget()
    kinds = re.findall(r"^# TYPE (\S+) (\S+)$", prometheus.exposition().decode(), re.MULTILINE)
    return {
        name if name.endswith(ending) else name + ending for name, kind in kinds for ending in ENDINGS[kind]
    }


def names_in(expression: str) -> set[str]:
    without_values = re.sub(r'"[^"]*"', '""', expression)
    return set(re.findall(r"\borders_\w+", without_values))


@pytest.mark.django_db(transaction=True)
def test_every_metric_that_an_alert_names_is_exported(exported):
    named = {name for rule in RULES for name in names_in(rule["expr"])}
    assert named
    assert named <= exported


@pytest.mark.django_db(transaction=True)
def test_every_metric_that_the_dashboard_names_is_exported(exported):
    named = {
        name
        for panel in DASHBOARD["panels"]
        for t in panel.get("targets", [])
        for name in names_in(t["expr"])
    }
    assert named
    assert named <= exported


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alert_says_what_is_wrong_how_urgent_it_is_and_what_to_do(rule):
    assert rule["annotations"]["summary"]
    assert rule["labels"]["severity"] in ("page", "ticket")
    section = re.search(rf"^### {rule['alert']}\n(.*?)(?=^#)", MANUAL + "\n#", re.MULTILINE | re.DOTALL)
    assert section, f"docs/operations.md has no section {rule['alert']}"
    assert "**Means**" in section[1]
    assert "**Do**" in section[1]


def test_the_manual_has_no_alert_that_does_not_exist():
    explained = re.findall(r"^### (\w+)$", MANUAL.split("## Alerts")[1].split("\n## ")[0], re.MULTILINE)
    assert sorted(explained) == sorted(rule["alert"] for rule in RULES)


def test_the_panels_do_not_overlap():
    seen: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert at["x"] + at["w"] <= 24
        assert not cells & seen
        seen |= cells
