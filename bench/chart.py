"""The results as a picture: for each scenario a bar of ours and one of the textbook, on a logarithmic scale."""

import math
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from bench.report import Results

WIDTH, ROW, TOP, LEFT, BAR = 1200, 78, 120, 330, 24
LONGEST = WIDTH - LEFT - 190
COLOURS = {"ours": "#1f6f54", "textbook": "#b8b4a8"}
INK, FAINT, PAPER = "#1d1d1f", "#6e6e73", "#ffffff"


def draw(results: Results, path: Path) -> None:
    """Write the chart as a PNG."""
    rows = [
        (scenario["title"], _values(scenario))
        for scenario in results["scenarios"].values()
        if "ours" in scenario
    ]
    image = Image.new("RGB", (WIDTH, TOP + ROW * len(rows) + 40), PAPER)
    canvas = ImageDraw.Draw(image)
    rig = results["rig"]
    canvas.text((30, 24), "Orders a second", INK, _font(30))
    about = (
        f"{rig['cores']} cores with everything on them, {rig['cpu']}, {results['at'][:10]}; logarithmic scale"
    )
    canvas.text((30, 68), about, FAINT, _font(16))
    top = max((value for _, values in rows for value in values.values()), default=1.0)
    for index, (title, values) in enumerate(rows):
        _row(canvas, TOP + index * ROW, title, values, top)
    image.save(path, optimize=True)


def _values(scenario: dict[str, Any]) -> dict[str, float]:
    return {who: scenario[who]["per_second"] for who in COLOURS if who in scenario}


def _row(canvas: Any, y: int, title: str, values: dict[str, float], top: float) -> None:
    canvas.text((30, y + 14), title, INK, _font(17))
    for line, (who, value) in enumerate(values.items()):
        at = y + line * (BAR + 4)
        length = max(2.0, LONGEST * math.log10(max(value, 1.0) * 1.1) / math.log10(top * 1.1))
        canvas.rectangle((LEFT, at, LEFT + length, at + BAR), fill=COLOURS[who])
        canvas.text((LEFT + length + 8, at + 2), f"{value:,.0f} {who}", INK, _font(16))


def _font(size: int) -> Any:
    return ImageFont.load_default(size)
