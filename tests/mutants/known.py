"""The survivors that `docs/mutants.md` judges, by the line before and after."""

import re
from pathlib import Path

ROW = re.compile(r"^\| `(?P<module>[^`]+)` \| `(?P<before>[^`]+)` \| `(?P<after>[^`]+)` \|")


def known_survivors(document: Path) -> set[tuple[str, str, str]]:
    """Return module, changed line and what it became, as the document's tables have them."""
    rows = filter(None, (ROW.match(line) for line in document.read_text().splitlines()))
    return {(row["module"], _plain(row["before"]), _plain(row["after"])) for row in rows}


def _plain(cell: str) -> str:
    return cell.replace("\\|", "|")
