"""What is made of the figures of several runs."""

from dataclasses import replace
from pathlib import Path

from PIL import Image

from bench import chart, report
from bench.contestants import Ours, Textbook
from bench.figures import Figures, median, quantiles
from bench.scenarios import SCENARIOS, Scenario

CLEAN = "10 orders, 13 checks, 0 violations"


def figures(who: str = "ours", *, orders: int = 100, seconds: float = 1.0, verdict: str = CLEAN) -> Figures:
    return Figures(
        "post",
        who,
        orders,
        seconds,
        {"web": 10.0, "load generator": 5.0},
        {"p50": 2.0, "p99": 4.0},
        verdict=verdict,
    )


def scenario() -> Scenario:
    return Scenario("post", "single orders", lambda contestant, seconds: figures(), 1)


def test_quantiles_of_a_hundred_values():
    assert quantiles(list(range(100))) == {"p50": 50, "p95": 95, "p99": 99}
    assert quantiles([]) == {}


def test_the_load_generator_is_no_part_of_what_an_order_costs():
    assert figures().micros_per_order == 10.0


def test_the_median_of_three_runs_is_that_of_the_one_between():
    runs = [figures(seconds=seconds) for seconds in (1.0, 4.0, 2.0)]
    assert median(runs).per_second == 50.0


def test_one_bad_audit_spoils_the_verdict_of_all_runs():
    bad = "10 orders, 13 checks, 2 violations"
    assert median([figures(), figures(verdict=bad), figures()]).verdict == bad
    assert not report.collected([scenario()], [figures(verdict=bad)], [], seconds=0)["clean"]


def test_the_table_has_ours_the_textbook_and_the_ratio():
    runs = [figures(), figures("textbook", seconds=10.0)]
    table = report.table(report.collected([scenario()], runs, ["it broke"], seconds=0))
    assert "| post | ours | 1 | 100 |" in table
    assert "| post | textbook | 1 | 10.0 |" in table
    assert "| ratio |  | 10.0 × |" in table  # noqa: RUF001
    assert "FAILED it broke" in table


def test_any_two_can_be_compared():
    runs = [figures("after 10"), figures("after 1,000", seconds=2.0)]
    table = report.table(report.collected([scenario()], runs, [], seconds=0))
    assert "| post | after 10 | 1 | 100 |" in table
    assert "| ratio |  | 2.0 × |" in table  # noqa: RUF001


def test_the_chart_is_a_picture(tmp_path: Path):
    results = report.collected([scenario()], [figures(), figures("textbook", seconds=10.0)], [], seconds=0)
    chart.draw(results, tmp_path / "chart.png")
    with Image.open(tmp_path / "chart.png") as picture:
        assert picture.width > picture.height > 100


def test_the_chart_shows_providers_over_the_network_first():
    usual = [each for each in SCENARIOS if each.is_usual]
    runs = [replace(figures(), scenario=each.name, milliseconds={"p50": 2.0, "p99": 4.0}) for each in usual]
    results = report.collected(usual, runs, [], seconds=0)
    first = {
        panel.heading.split()[0]: [title for title, _ in chart._bars(panel, results)]
        for panel in chart.PANELS
    }
    assert first["In"][:2] == ["a backlog, provider takes 50 ms", "a backlog, provider takes 200 ms"]
    paced = ["5 orders/s with a provider over HTTP", "20 orders/s, one call in 100 takes 20 s"]
    assert first["Milliseconds,"][:2] == paced
    assert "1,000 late answers of a provider, all at once" in first["Microseconds"][:6]
    assert paced[1] not in first["In"]


def test_scenarios_have_names_of_their_own_and_ours_takes_part_in_each():
    assert len({each.name for each in SCENARIOS}) == len(SCENARIOS)
    assert all(Ours in each.contestants for each in SCENARIOS if each.is_usual)
    assert any(Textbook in each.contestants for each in SCENARIOS)
