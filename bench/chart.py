"""Draws the results on logarithmic scales."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from bench.report import Results
from bench.scenarios import LATE, STRAGGLERS

WIDTH, LEFT, MARGIN = 1200, 400, 36
BAR, GAP = 20, 6
LONGEST = WIDTH - LEFT - 250
TOP, HEADING = 110, 64
INK, FAINT, PAPER = "#1d1d1f", "#6e6e73", "#ffffff"
OURS, OTHERS = "#1f6f54", "#b8b4a8"


@dataclass(frozen=True, slots=True)
class Panel:
    """A kind of figure, and the scenarios that have it."""

    heading: str
    value: Callable[[dict[str, Any]], float | None]
    text: Callable[[dict[str, Any]], str]
    shows: Callable[[str], bool]


def _is_paced(name: str) -> bool:
    """Whether orders come at a rate of the scenario's, so that how many came says nothing."""
    return name.startswith("quiet") or name in (STRAGGLERS, LATE)


def _calls_a_provider(name: str) -> bool:
    return name.startswith("provider") or name.endswith("-http") or name == LATE


PANELS = (
    Panel(
        "In a second: more is better",
        lambda figures: figures["per_second"],
        lambda figures: f"{figures['per_second']:,.0f}",
        lambda name: not _is_paced(name),
    ),
    Panel(
        "Milliseconds, half of all and 99 of 100: less is better",
        lambda figures: figures["milliseconds"].get("p50"),
        lambda figures: f"{figures['milliseconds']['p50']:,.0f} / {figures['milliseconds']['p99']:,.0f}",
        lambda name: _is_paced(name) or name.startswith(("post", "live")),
    ),
    Panel(
        "Microseconds of CPU for each, without the load generator and the provider: less is better",
        lambda figures: figures["micros_per_order"] or None,
        lambda figures: f"{figures['micros_per_order']:,.0f}",
        lambda name: not _is_paced(name) or name == LATE,
    ),
)

Bars = list[tuple[str, dict[str, dict[str, Any]]]]


def draw(results: Results, path: Path) -> None:
    panels = [(panel, bars) for panel in PANELS if (bars := _bars(panel, results))]
    height = TOP + sum(HEADING + _height(bars) for _, bars in panels) + MARGIN
    image = Image.new("RGB", (WIDTH, height), PAPER)
    canvas = ImageDraw.Draw(image)
    _title(canvas, results)
    y = TOP
    for panel, bars in panels:
        canvas.text((MARGIN, y + 18), panel.heading, INK, _font(21))
        _panel(canvas, y + HEADING, panel, bars)
        y += HEADING + _height(bars)
    image.save(path, optimize=True)


def _bars(panel: Panel, results: Results) -> Bars:
    """Return a panel's bars; those with a provider over the network come first, as that is how shops run."""
    found = []
    scenarios = results["scenarios"].items()
    for name, scenario in sorted(scenarios, key=lambda item: not _calls_a_provider(item[0])):
        figures = {who: each for who, each in scenario["who"].items() if panel.value(each)}
        if figures and panel.shows(name):
            found.append((scenario["title"], figures))
    return found


def _height(bars: Bars) -> int:
    return sum(len(figures) * (BAR + 2) + 2 * GAP for _, figures in bars)


def _title(canvas: Any, results: Results) -> None:
    rig = results["rig"]
    canvas.text((MARGIN, 26), "The order pipeline beside the textbook", INK, _font(30))
    about = f"{rig['cores']} cores with everything on them, {rig['cpu']}, {results['at'][:10]}; logarithmic scales"
    canvas.text((MARGIN, 72), about, FAINT, _font(16))


def _panel(canvas: Any, y: int, panel: Panel, bars: Bars) -> None:
    values = [panel.value(each) or 1.0 for _, figures in bars for each in figures.values()]
    least, most = math.log10(min(values)) - 0.3, math.log10(max(values))
    for title, figures in bars:
        canvas.text((MARGIN, y + GAP), title, INK, _fitting(title))
        for line, (who, each) in enumerate(figures.items()):
            at = y + GAP + line * (BAR + 2)
            share = (math.log10(panel.value(each) or 1.0) - least) / (most - least)
            canvas.rectangle((LEFT, at, LEFT + LONGEST * share, at + BAR), fill=OTHERS if line else OURS)
            canvas.text((LEFT + LONGEST * share + 8, at), f"{panel.text(each)}  {who}", INK, _font(15))
        y += len(figures) * (BAR + 2) + 2 * GAP


def _fitting(title: str) -> Any:
    """Return the largest font in which a title ends before the bars."""
    sizes = (size for size in (16, 15, 14, 13) if _font(size).getlength(title) < LEFT - MARGIN)
    return _font(next(sizes, 12))


def _font(size: int) -> Any:
    return ImageFont.load_default(size)
