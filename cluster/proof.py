"""`python -m cluster.proof FOLDER`: prove a running cluster, by rows (ROWS), for HOURS, or by one death for each node.

Exits with 1 unless every acknowledged order exists, the audit is clean and the stream equals the journal.
"""

import os
import sys
from pathlib import Path

from cluster.long import endure
from cluster.plan import Plan, running_plan
from cluster.prove import prove_deaths, prove_row, say
from cluster.rows import ROWS


def main() -> int:
    wrong = _prove(running_plan(Path(sys.argv[1])))
    for sentence in wrong:
        say(f"WRONG: {sentence}")
    say(
        "Proof failed."
        if wrong
        else "Proved: no order is missing, the audit is clean, the stream equals the journal."
    )
    return 1 if wrong else 0


def _prove(plan: Plan) -> list[str]:
    if hours := float(os.environ.get("HOURS") or 0):
        return endure(plan, hours=hours, seed=int(os.environ.get("SEED") or 1))
    if names := [name for name in os.environ.get("ROWS", "").split(",") if name]:
        # The upgrade comes first: after it the nodes run this release, as the audit does.
        rows = sorted((ROWS[name] for name in names), key=lambda row: not row.needs_older)
        return [sentence for row in rows for sentence in prove_row(plan, row)]
    return prove_deaths(plan)


if __name__ == "__main__":
    sys.exit(main())
