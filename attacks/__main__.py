"""`python -m attacks`: attack the whole system, and fail if an honest user's order is refused or lost meanwhile."""

import argparse
import asyncio
import os
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from types import FrameType

from attacks import kinds
from attacks.campaign import HEADER, Campaign, Result
from attacks.scene import ATTACKS
from attacks.target import Target
from launcher.guardian import Guardian

assert kinds  # entering the attacks is what it is imported for


def main() -> int:
    """The exit status: 0 when everything held."""
    signal.signal(signal.SIGTERM, _interrupt)
    options = _options()
    folder = Path(options.folder or tempfile.mkdtemp(prefix="attacks-"))
    with Guardian() as guardian:
        try:
            good = asyncio.run(_run(options, folder, guardian))
        except KeyboardInterrupt:
            say("Interrupted.")
            return 130
    if good and not options.folder:
        shutil.rmtree(folder, ignore_errors=True)
    return 0 if good else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m attacks", description=__doc__)
    parser.add_argument("--attacks", default="", help=f"by default all: {','.join(ATTACKS)}")
    parser.add_argument("--seconds", type=float, default=25.0, help="how long each attack lasts")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--no-bars", action="store_true", help="print times, but let none fail the run")
    parser.add_argument("--folder", default="", help="where data and logs go, and stay")
    options = parser.parse_args()
    options.names = options.attacks.replace(",", " ").split() or list(ATTACKS)
    if unknown := [name for name in options.names if name not in ATTACKS]:
        parser.error(f"there is no attack {unknown[0]!r}, only {', '.join(ATTACKS)}")
    return options


async def _run(options: argparse.Namespace, folder: Path, guardian: Guardian) -> bool:
    target = Target(folder, guardian)
    began, load = time.monotonic(), os.getloadavg()[0]
    is_quiet = load < (os.cpu_count() or 1)
    try:
        await target.start()
        busy = "" if is_quiet else " (too busy to judge speed)"
        say(f"{len(target.processes)} processes run after {time.monotonic() - began:.0f} s.")
        say(f"Logs in {folder}/logs.")
        say(f"Seed {options.seed}, {os.cpu_count()} cores, load {load:.1f}{busy}.\n\n{HEADER}")
        campaign = Campaign(target, seed=options.seed, seconds=options.seconds, say=say)
        await campaign.run(options.names)
        audit = await campaign.audit()
    finally:
        await target.stop()
    say(f"\n{HEADER}")
    for result in campaign.results:
        say(result.line())
    say(f"\n{audit}")
    return _verdict(campaign.results, strict=is_quiet and not options.no_bars) and not campaign.audit_failed


def _verdict(results: list[Result], *, strict: bool) -> bool:
    bad = [result.attack.name for result in results if not result.is_good]
    slow = [result.attack.name for result in results if result.is_over_bar]
    placed = sum(len(result.seen.placed) for result in results)
    say(
        f"{len(results)} attacks, {placed} honest orders:"
        f" {'everything held' if not bad else 'NOT good: ' + ', '.join(bad)}."
    )
    if slow:
        uncounted = "" if strict else ", which does not count here (the machine was busy, or --no-bars)"
        say(f"POST over the bar{uncounted}: {', '.join(slow)}.")
    return not bad and not (slow and strict)


def say(text: str) -> None:
    """Print at once, whether or not it goes to a terminal."""
    print(text, flush=True)  # noqa: T201


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
