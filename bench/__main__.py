"""`python -m bench`: run scenarios, contestants alternating; store the results."""

import argparse
import contextlib
import json
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from bench import chart, report
from bench.contestants import Contestant, Textbook
from bench.figures import Figures
from bench.profiler import profiled
from bench.rig import RigError
from bench.scenarios import SCENARIOS, Scenario
from launcher.engines import EngineError

RESULTS = Path(__file__).resolve().parent.parent / "docs" / "bench"


class Progress:
    def __init__(self, steps: int) -> None:
        self._steps, self._done, self._started = steps, 0, time.monotonic()

    def show(self, what: str) -> None:
        width = 24
        filled = width * self._done // max(1, self._steps)
        minutes, seconds = divmod(int(time.monotonic() - self._started), 60)
        line = f"[{'#' * filled}{'.' * (width - filled)}] {self._done}/{self._steps} {minutes}:{seconds:02} {what}"
        print(f"\r{line[:110]:<110}", end="", file=sys.stderr, flush=True)

    def step(self) -> None:
        self._done += 1


def main() -> int:
    options = _options()
    # like an interrupt, which stops all children
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    wanted = options.scenario.split(",") if options.scenario else [s.name for s in SCENARIOS if s.is_usual]
    chosen = [s for s in SCENARIOS if s.name in wanted]
    if not chosen:
        sys.exit(f"SCENARIO is one or more of {', '.join(s.name for s in SCENARIOS)}.")
    runs: list[Figures] = []
    failures: list[str] = []
    try:
        with _contestants(chosen) as contestants:
            _compete(chosen, contestants, options, runs, failures)
    except KeyboardInterrupt:
        failures.append("interrupted")
    print(file=sys.stderr)
    results = report.collected(chosen, runs, failures, seconds=options.seconds)
    print(report.table(results))
    if runs and not options.dry:
        _write(results)
    return 1 if failures or not results["clean"] else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--scenario", default="", help="names, with commas between")
    parser.add_argument("--seconds", type=float, default=0.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--profile", action="store_true", help="show where our processes spend their time")
    parser.add_argument("--ours", action="store_true", help="leave the textbook out")
    parser.add_argument("--dry", action="store_true", help="write nothing")
    return parser.parse_args()


@contextlib.contextmanager
def _contestants(chosen: list[Scenario]) -> Iterator[list[Contestant]]:
    makers = dict.fromkeys(maker for scenario in chosen for maker in scenario.contestants)
    contestants: list[Contestant] = [maker() for maker in makers]
    try:
        yield contestants
    finally:
        for contestant in contestants:
            contestant.rig.stop()


def _compete(
    chosen: list[Scenario],
    contestants: list[Contestant],
    options: argparse.Namespace,
    runs: list[Figures],
    failures: list[str],
) -> None:
    turns = [
        (scenario, number, contestant)
        for scenario in chosen
        for number in range(1, min(options.rounds, scenario.rounds) + 1)
        for contestant in contestants
        if type(contestant) in scenario.contestants
        and not (options.ours and contestant.name == Textbook.name)
    ]
    progress = Progress(len(turns))
    prepared: set[str] = set()
    for scenario, number, contestant in turns:
        progress.show(f"{scenario.name}: round {number}, {contestant.name}")
        try:
            if contestant.name not in prepared:
                contestant.prepare()
                prepared.add(contestant.name)
            contestant.reset()
            runs.append(_run(scenario, contestant, options))
        except (RigError, EngineError, TimeoutError) as error:
            failures.append(f"{scenario.name}, {contestant.name}: {error}")
        finally:
            contestant.rig.stop_processes()
        progress.step()


def _run(scenario: Scenario, contestant: Contestant, options: argparse.Namespace) -> Figures:
    with profiled(contestant.rig, scenario.name) if options.profile else contextlib.nullcontext():
        figures = scenario.run(contestant, options.seconds or scenario.seconds)
    figures.megabytes = contestant.rig.pss_megabytes()
    figures.verdict = contestant.audit()
    return figures


def _write(results: report.Results) -> None:
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / "results.json").write_text(json.dumps(results, indent=2) + "\n")
    (RESULTS / "results.md").write_text(report.table(results) + "\n")
    chart.draw(results, RESULTS / "results.png")
    print(f"\nWritten to {RESULTS}/: results.json, results.md, results.png")


if __name__ == "__main__":
    sys.exit(main())
