"""`python -m attacks`: attack the whole system, and fail if an honest user's order is refused or lost meanwhile."""

import argparse
import sys
from functools import partial
from pathlib import Path

from attacks import kinds
from attacks.campaign import HEADER, Campaign, Result
from attacks.scene import ATTACKS
from attacks.target import Target
from chaos.session import Session, run
from launcher.guardian import Guardian

assert kinds  # entering the attacks is what it is imported for


def main() -> int:
    options, session = _options(), Session()
    return run(partial(_run, options, session), session, name="attacks", folder=options.folder)


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


async def _run(options: argparse.Namespace, session: Session, folder: Path, guardian: Guardian) -> bool:
    target = Target(folder, guardian)
    try:
        await target.start()
        session.describe(target, seed=options.seed, header=HEADER)
        campaign = Campaign(target, seed=options.seed, seconds=options.seconds, say=session.say)
        await campaign.run(options.names)
        audit = await campaign.audit()
    finally:
        await target.stop()
    session.say(f"\n{HEADER}")
    for result in campaign.results:
        session.say(result.line())
    session.say(f"\n{audit}")
    strict = session.is_quiet and not options.no_bars
    return _verdict(campaign.results, session, strict=strict) and not campaign.audit_failed


def _verdict(results: list[Result], session: Session, *, strict: bool) -> bool:
    bad = [result.attack.name for result in results if not result.is_good]
    slow = [result.attack.name for result in results if result.is_over_bar]
    placed = sum(len(result.seen.placed) for result in results)
    session.say(
        f"{len(results)} attacks, {placed} honest orders:"
        f" {'everything held' if not bad else 'NOT good: ' + ', '.join(bad)}."
    )
    if slow:
        uncounted = "" if strict else ", which does not count here (the machine was busy, or --no-bars)"
        session.say(f"POST over the bar{uncounted}: {', '.join(slow)}.")
    return not bad and not (slow and strict)


if __name__ == "__main__":
    sys.exit(main())
