"""Break chosen modules one place at a time, and list the mutants that no test notices.

make mutants TARGETS=stock,ledger SAMPLE=0.2 SEED=7

Works on a copy below the data folder. Ends with 1 if there are survivors that `docs/mutants.md` does not judge.
"""

import argparse
import difflib
import os
import random
import shutil
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from cosmic_ray.mutating import use_mutation

from tests.engines import TestEngines
from tests.mutants.known import known_survivors
from tests.mutants.operators import OPERATORS, occurrences
from tests.mutants.runner import preload, run_tests
from tests.mutants.targets import TARGETS, Target

FOLDER = Path(".data/mutants")
SURVIVORS = "survivors.diff"
IN_COPY = "MUTANTS_COPY"


class Mutant(NamedTuple):
    module: Path
    operator: str
    occurrence: int


class Change(NamedTuple):
    """The lines that differ, each side joined to one."""

    before: str
    after: str


def main() -> int:
    options = _options()
    if IN_COPY not in os.environ:
        return _run_in_copy()
    preload()
    engines = TestEngines()
    engines.choose()
    os.environ["TEST_DATABASE_URL"], os.environ["TEST_REDIS_URL"] = (
        os.environ["DATABASE_URL"],
        os.environ["REDIS_URL"],
    )
    engines.start()
    try:
        names = options.targets.split(",") if options.targets else list(TARGETS)
        dice = random.Random(options.seed)
        unknown = sum(_run_target(name, TARGETS[name], sample=options.sample, dice=dice) for name in names)
    finally:
        engines.stop()
    print(f"{unknown} new survivors, see {FOLDER / SURVIVORS}" if unknown else "no new survivors", flush=True)
    return 1 if unknown else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--targets", default="", help=", ".join(TARGETS))
    parser.add_argument("--sample", type=float, default=1.0, help="share of the mutants that are run")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def _run_in_copy() -> int:
    """Repeat this command in a copy of the files that git knows: the tree stays as it is."""
    tree = FOLDER / "tree"
    shutil.rmtree(tree, ignore_errors=True)
    known = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    for name in subprocess.run(known, capture_output=True, check=True).stdout.decode().split("\0"):
        if name and Path(name).is_file():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(name, tree / name)
    environment = os.environ | {IN_COPY: "1", "PYTHONPATH": "."}
    command = [sys.executable, "-m", "tests.mutants", *sys.argv[1:]]
    ended = subprocess.run(command, cwd=tree, env=environment, check=False)
    if (tree / SURVIVORS).exists():
        shutil.copy2(tree / SURVIVORS, FOLDER / SURVIVORS)
    return ended.returncode


def _run_target(name: str, target: Target, *, sample: float, dice: random.Random) -> int:
    """Return how many survivors are new."""
    started = time.monotonic()
    if not run_tests(target.tests, timeout=900, fresh_database=True):
        raise SystemExit(f"{name}: its tests fail without a mutant, see last-run.txt")
    timeout = 20 + 1.5 * (time.monotonic() - started)
    mutants = [
        Mutant(Path(module), operator, occurrence)
        for module in target.modules
        for operator, occurrence in occurrences(Path(module))
    ]
    chosen = dice.sample(mutants, round(len(mutants) * sample))
    outcomes: Counter[str] = Counter()
    for mutant in chosen:
        outcomes[_run(mutant, target, timeout=timeout)] += 1
        print(f"\r{name}: {outcomes.total()} of {len(chosen)}", end="", flush=True)
    counted = ", ".join(f"{number} {outcome}" for outcome, number in sorted(outcomes.items()))
    print(f"\r{name}: {len(chosen)} of {len(mutants)} mutants: {counted}", flush=True)
    return outcomes["survived"]


def _run(mutant: Mutant, target: Target, *, timeout: float) -> str:
    with use_mutation(mutant.module, OPERATORS[mutant.operator], mutant.occurrence) as (before, after):
        if after is None or not _compiles(after):
            return "invalid"
        started = time.monotonic()
        if not run_tests(target.tests, timeout=timeout):
            _recover_database(target, is_due=time.monotonic() - started > timeout)
            return "killed"
    change = _change(before, after)
    if (str(mutant.module), *change) in known_survivors(Path("docs/mutants.md")):
        return "known"
    with Path(SURVIVORS).open("a") as file:
        name = str(mutant.module)
        cells = (cell.replace("|", "\\|") for cell in (name, *change))
        file.write(f"# {mutant.operator}\n| `{'` | `'.join(cells)}` | |\n")
        file.writelines(difflib.unified_diff(before.splitlines(True), after.splitlines(True), name, name))
        file.write("\n")
    return "survived"


def _compiles(source: str) -> bool:
    try:
        compile(source, "mutant", "exec")
    except SyntaxError:
        return False
    return True


def _recover_database(target: Target, *, is_due: bool) -> None:
    """Begin with an empty database again after tests that were killed halfway."""
    if is_due:
        run_tests(target.tests[:1], timeout=900, fresh_database=True)


def _change(before: str, after: str) -> Change:
    lines = [line for line in difflib.ndiff(before.splitlines(), after.splitlines()) if line[0] in "-+"]
    sides = [" ".join(line[2:].strip() for line in lines if line[0] == side) for side in "-+"]
    return Change(*sides)


if __name__ == "__main__":
    sys.exit(main())
