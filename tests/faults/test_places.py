"""Kill points: each name in the code is listed, each listed name is in the code, and each strikes once."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import faults
from faults.places import CALLS, PLACES, STEPS
from faults.script import BadScript, Planned, Rule, Script, passages, reset

ROOT = Path(__file__).resolve().parent.parent.parent
NAMED = re.compile(
    r'faults\.point\((?:f"{([\w.]+)}\.(\w+)"|"([^"]+)")\)|_last_transaction\(\w+, step="(\w+)"'
)


def places_in_the_code() -> set[str]:
    found: set[str] = set()
    for folder in ("orders", "payments"):
        for file in (ROOT / folder).rglob("*.py"):
            for variable, place, name, step in NAMED.findall(file.read_text()):
                if step:
                    found.add(f"{step}.before_commit")
                elif name:
                    found.add(name)
                elif variable != "step":
                    found |= {f"{call}.{place}" for call in CALLS if call != "lookup"}
    # The wrapper of every step passes these two.
    return found | {f"{step}.{place}" for step in STEPS for place in ("begin", "end")}


def run_with(rules: str, folder: Path, code: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"FAULTS": rules, "FAULTS_DIR": str(folder)}
    return subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )


def test_every_place_is_in_the_code_and_every_place_in_the_code_is_listed() -> None:
    assert places_in_the_code() == PLACES


def test_without_a_script_a_place_is_an_empty_call() -> None:
    assert faults.point("nobody looks at the name") is None
    assert faults.point.__module__ == "faults"


@pytest.mark.parametrize(
    "rules",
    [
        "nowhere:kill",
        "settle.begin:explode",
        "settle.begin:kill@0",
        "settle.begin:kill@soon",
        "settle.begin:sleep=long",
        "settle.begin",
    ],
)
def test_it_refuses_a_rule_that_cannot_be_meant(rules: str, tmp_path: Path) -> None:
    with pytest.raises(BadScript):
        Script(rules, tmp_path)


def test_a_process_with_a_bad_script_does_not_start(tmp_path: Path) -> None:
    assert "nowhere" in run_with("nowhere:kill", tmp_path, "import faults").stderr


def test_the_third_passage_of_all_processes_kills_and_no_other(tmp_path: Path) -> None:
    code = "import faults; faults.point('settle.begin'); print('survived')"
    ends = [run_with("settle.begin:kill@3", tmp_path, code).returncode for _ in range(5)]
    assert ends == [0, 0, -signal.SIGKILL, 0, 0]
    assert passages(tmp_path) == {"settle.begin": 5}
    reset(tmp_path)
    assert passages(tmp_path) == {}


def test_it_strikes_again_and_again_when_asked_to(tmp_path: Path) -> None:
    script = Script("settle.begin:error@%2", tmp_path)
    struck = []
    for passage in range(1, 7):
        try:
            script.pass_by("settle.begin")
        except Planned:
            struck.append(passage)
    assert struck == [2, 4, 6]


def test_places_that_no_rule_names_are_passed_for_nothing(tmp_path: Path) -> None:
    Script("settle.begin:kill", tmp_path).pass_by("settle.end")
    assert passages(tmp_path) == {}


def test_a_rule_says_what_when_and_where() -> None:
    assert Rule.parse("post.after_commit:sleep=2.5@%10") == Rule("post.after_commit", "sleep", 2.5, 10, True)
    assert Rule.parse("post.after_commit:stop") == Rule("post.after_commit", "stop")
