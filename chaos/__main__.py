"""`python -m chaos`: run rows of the fault matrix against the whole system; fail on violations."""

import argparse
import random
import sys
import time
from functools import partial
from pathlib import Path

from chaos import long, rows
from chaos.arena import ROWS, Row
from chaos.campaign import HEADER, Campaign
from chaos.rig import Rig
from chaos.rows.mixed import both
from chaos.session import Session, run
from launcher.guardian import Guardian

# Most frequent in production first.
ORDER = tuple(
    "F7 F6 F13 F14 F15 F16 F21 F22 F28 F31 F8 F9 F2 F1 F3 F4 F5 F10 F11 F12 F17 F18 F20 F23 F24 F27 F29 F30 F32"  # noqa: SIM905
    " F60 F61 F62 F63 F64 F65 F66 F33 F34 F35 F36 F37 F38 F39 F40 F41 F42 F43 F44 F45 F46 F47 F19 F25 F26 F48 F49"
    " F50".split()
)
# Long mode picks from these: severe and short.
LONG = ("F7", "F7", "F9", "F13", "F14", "F15", "F21", "F22", "F22", "F18", "F5", "F35", "F28")
assert rows  # the import registers the rows


def main() -> int:
    options = _options()
    session = Session(log=options.log)
    return run(partial(_run, options, session), session, name="chaos", folder=options.folder)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m chaos", description=__doc__)
    parser.add_argument("--rows", default="", help="such as F7,F14; default: all")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--orders", type=int, default=100, help="minimum per row")
    parser.add_argument(
        "--hours", type=float, default=0.0, help="long mode: duration of random rows and pairs"
    )
    parser.add_argument(
        "--kills", type=int, default=0, help="long mode: worker kills, with servers in proportion"
    )
    parser.add_argument("--scale", type=float, default=1.0, help="factor for all durations")
    parser.add_argument("--no-bars", action="store_true", help="report slow recovery without failing")
    parser.add_argument("--rate", type=float, default=1.0, help="factor for the load")
    parser.add_argument("--log", default="", help="a file for the output")
    parser.add_argument("--folder", default="", help="a folder for data and logs, which are kept")
    return parser.parse_args()


async def _run(options: argparse.Namespace, session: Session, folder: Path, guardian: Guardian) -> bool:
    rig = Rig(folder, guardian)
    try:
        await rig.start()
        session.describe(rig, seed=options.seed, header=HEADER)
        campaign = Campaign(
            rig, seed=options.seed, orders=options.orders, scale=options.scale, say=session.say
        )
        campaign.rate = options.rate
        if options.kills:
            campaign.orders = 0  # each round sets its own
            await long.kill(campaign, workers=options.kills, say=session.say)
        elif options.hours:
            await _long(campaign, until=time.monotonic() + options.hours * 3600)
        else:
            await campaign.run(_chosen(options.rows, session))
    finally:
        await rig.stop()
    return _summary(campaign, session, strict=session.is_quiet and not options.no_bars)


def _chosen(text: str, session: Session) -> list[str]:
    names = text.replace(",", " ").split() or list(ORDER)
    for name in names:
        if name not in ROWS:
            session.say(f"{name:<9}skipped: there is no such row")
    return [name for name in names if name in ROWS]


async def _long(campaign: Campaign, *, until: float) -> None:
    """Run random rows and pairs of rows, seeded, until the time is up."""
    dice = random.Random(campaign.seed)
    number = 0
    while time.monotonic() < until:
        number += 1
        names = dice.sample(sorted(set(LONG)), 2) if dice.random() < 0.3 else [dice.choice(LONG)]
        campaign.results.append(await campaign.run_row(_joined(names), f"long/{campaign.seed}/{number}"))


def _joined(names: list[str]) -> Row:
    if len(names) == 1:
        return ROWS[names[0]]

    return Row(
        "+".join(names),
        " and ".join(ROWS[name].title for name in names),
        lambda arena: both(arena, *names),
        within=max(60.0, *(ROWS[name].within for name in names)),
    )


def _summary(campaign: Campaign, session: Session, *, strict: bool) -> bool:
    run = [result for result in campaign.results if not result.skipped]
    bad = [result for result in run if not result.is_good]
    orders = sum(result.finding.orders for result in run)
    faults = sum(result.faults for result in run)
    session.say(f"\n{HEADER}")
    for result in campaign.results:
        session.say(result.line())
    session.say(
        f"\n{len(run)} rows, {orders} orders, {faults} faults, {campaign.rig.kills} kills"
        f" in {session.seconds / 60:.1f} minutes:"
        f" {'everything held' if not bad else 'NOT good: ' + ', '.join(result.row.name for result in bad)}."
    )
    over = [result.row.name for result in run if result.over_bars]
    if over and not strict:
        session.say(f"Over a limit, ignored because the machine was busy at the start: {', '.join(over)}.")
    return not bad and not (over and strict)


if __name__ == "__main__":
    sys.exit(main())
