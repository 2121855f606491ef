"""The table of features names a place for each, and the place exists; `test_docs.py` checks its paths."""

import re
from pathlib import Path

import pytest
from django.conf import settings
from django.urls import resolve

from bench.scenarios import SCENARIOS
from config import errors

ROOT = Path(__file__).parent.parent.parent
ROWS = [
    line.strip("|").split("|")
    for line in (ROOT / "docs/features.md").read_text().splitlines()
    if line.startswith("|") and not line.startswith(("| what |", "|---"))
]

SETTINGS = "".join(file.read_text() for file in (ROOT / "config/settings").glob("*.py"))


def places(row: list[str]) -> list[str]:
    return re.findall(r"`([^`]+)`", row[1])


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0].strip())
def test_each_feature_has_a_place_that_exists(row: list[str]) -> None:
    assert places(row)
    for place in places(row):
        if place.startswith("/"):
            assert resolve(place).func is not errors.api_not_found
        elif place.isupper() and place != "LICENSE":
            assert hasattr(settings, place) or f'"{place}"' in SETTINGS
        elif place.startswith("make bench"):
            named = place.rpartition("=")[2].split(",")
            assert {*named} <= {scenario.name for scenario in SCENARIOS}
        else:
            assert (ROOT / place).exists()


def test_no_place_is_missing() -> None:
    assert len(ROWS) > 60
