"""The files for Prometheus and Grafana: they name what is exported, and people find what an alert means."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from monitoring import prometheus
from orders.events import EventType
from orders.legs import LEGS, PAYMENT
from orders.models import Batch
from scheduling.slots import database_now

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


def selected_types(expression: str) -> set[str]:
    """Return the types of events that an expression selects."""
    selected: set[str] = set()
    for operator, value in re.findall(r'\btype(=~|!~|=|!=)"([^"]*)"', expression):
        pattern = value if "~" in operator else re.escape(value)
        is_negative = operator.startswith("!")
        selected |= {type_ for type_ in EventType if bool(re.fullmatch(pattern, type_)) != is_negative}
    return selected


def test_every_type_of_event_that_an_alert_or_a_panel_names_exists():
    expressions = [t["expr"] for panel in DASHBOARD["panels"] for t in panel.get("targets", [])]
    for expression in [*expressions, *(rule["expr"] for rule in RULES)]:
        if "orders_event" in expression:
            exact = re.findall(r'\btype="([^"]*)"', expression)
            assert set(exact) <= set(EventType), expression
            assert selected_types(expression), expression


def test_the_panel_of_steps_shows_what_each_leg_declares_as_done():
    (panel,) = [p for p in DASHBOARD["panels"] if p["title"] == "Time from placement to each step, p95"]
    shown = selected_types(panel["targets"][0]["expr"])
    states = [state for leg in LEGS for state in leg.states.values() if state.event]
    on_the_way = {str(state.event) for state in states if state.good and state is not PAYMENT.FREE}
    assert shown >= {EventType.STARTED, *on_the_way}
    assert shown.isdisjoint(str(state.event) for state in states if not state.good)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alert_says_what_is_wrong_how_urgent_it_is_and_what_to_do(rule):
    assert rule["annotations"]["summary"]
    assert rule["labels"]["severity"] in ("page", "ticket")
    assert len(rule["annotations"]["description"]) > 20
    assert rule["annotations"]["desk_url"].startswith("{{ $externalLabels.orders_url }}/admin/")
    assert rule["annotations"]["runbook_url"].endswith(f"/admin/runbook/{rule['alert']}/")
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


def test_every_link_of_an_alert_leads_to_a_page(client, settings, django_user_model, db):
    settings.SECURE_SSL_REDIRECT = False
    client.force_login(django_user_model.objects.create_superuser("admin"))
    links = {
        rule["annotations"][name].removeprefix("{{ $externalLabels.orders_url }}")
        for rule in RULES
        for name in ("desk_url", "runbook_url")
    }
    for link in links:
        page = client.get(link)
        assert page.status_code == 200, link
        if "/runbook/" in link:
            assert "<strong>Means</strong>" in page.content.decode()
    assert client.get("/admin/runbook/").status_code == 200
    assert client.get("/admin/runbook/Nonsense/").status_code == 404


def test_every_panel_describes_itself():
    assert all(panel.get("description") for panel in DASHBOARD["panels"] if panel["type"] != "row")


def test_a_payment_outage_pages_without_a_canary():
    by_name = {rule["alert"]: rule for rule in RULES}
    assert by_name["PaymentsDown"]["labels"]["severity"] == "page"
    assert "canary" not in by_name["PaymentsDown"]["expr"]


@pytest.mark.django_db(transaction=True)
def test_metrics_follow_the_naming_rules_of_prometheus():
    """What `promtool check metrics` would complain about, and the tool itself where it is installed."""
    Batch.objects.create(size=1, order_ids=[1], finished_at=database_now())
    prometheus._exposition.forget()
    text = prometheus.exposition().decode()
    kinds = dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE))
    assert "orders_batch_seconds{percentile=" in text
    assert 'quantile="' not in text
    assert {
        name for name, kind in kinds.items() if kind == "counter" and not name.endswith("_total")
    } == set()
    assert set(kinds) <= set(re.findall(r"^# HELP (\S+) \S", text, re.MULTILINE))
    if promtool := shutil.which("promtool"):
        done = subprocess.run(
            [promtool, "check", "metrics"], input=text, capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(not shutil.which("promtool"), reason="promtool is not installed")
def test_alerts_fire_when_they_should():
    done = subprocess.run(
        ["promtool", "test", "rules", ROOT / "tests/config/alerts_test.yml"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
