"""The documents name files, commands and settings that exist."""

import importlib.util
import re
import subprocess
from pathlib import Path

import pytest

from api.error_examples import SENTENCES
from config import error_pages
from sandbox import stripe
from sandbox.payments import DECLINING_TOKENS

ROOT = Path(__file__).parent.parent.parent
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
CODE = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\]\(([^)#:\s]+)\)")
# A path: a folder in it, or the ending of a file that we keep.
ENDING = re.compile(r"\.(py|md|js|css|html|yml|yaml|toml|txt|json|csv|sh|lua|c|png)$")
IN_THE_REPOSITORY = re.compile(r"[\w.*-]+(/[\w.*-]+)*/?")
# Only in a running installation, or in the reader's own files.
MADE_LATER = re.compile(r"^\.(data|env|venv)\b|(dump|ndjson\.gz)$|^(/|docs/chaos/night\.txt)")


def tracked() -> set[str]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    ).stdout.split()
    files = listed or [str(path.relative_to(ROOT)) for path in ROOT.rglob("*") if ".venv" not in path.parts]
    return {*files, *(str(parent) for file in files for parent in Path(file).parents)}


FILES = tracked()
NAMES = {Path(file).name for file in FILES}


def looks_like_a_path(text: str) -> bool:
    if not IN_THE_REPOSITORY.fullmatch(text) or MADE_LATER.search(text):
        return False
    first = text.split("/", maxsplit=1)[0]
    return bool(ENDING.search(text)) or ("/" in text and (ROOT / first).is_dir())


def exists(path: str, document: Path) -> bool:
    """Whether a path is there from the root, from `tests/`, beside the document, or as a name within the line."""
    beside = document.parent.relative_to(ROOT)
    candidates = [path.rstrip("/"), f"tests/{path}".rstrip("/"), str(beside / path)]
    return any(candidate in FILES for candidate in candidates) or ("/" not in path and path in NAMES)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_path_that_a_document_names_exists(document):
    named = {text for text in CODE.findall(document.read_text()) if looks_like_a_path(text)}
    assert sorted(path for path in named if not exists(path, document)) == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_of_a_document_leads_to_a_file(document):
    linked = set(LINK.findall(CODE.sub("", document.read_text())))
    assert sorted(path for path in linked if not (document.parent / path).exists()) == []


def test_every_make_target_that_a_document_names_exists():
    targets = set(re.findall(r"(?m)^([a-z -]+):", (ROOT / "Makefile").read_text()))
    targets = {target for line in targets for target in line.split()}
    named = {target for file in DOCUMENTS for target in re.findall(r"`make ([a-z][a-z-]*)", file.read_text())}
    assert named <= targets


def test_every_management_command_that_a_document_names_exists():
    ours = {path.stem for path in ROOT.glob("*/management/commands/*.py")}
    djangos = {"addstatictoken", "check", "createsuperuser", "migrate", "shell", "changepassword"}
    pattern = r"manage\.py ([a-z]+)"
    named = {command for file in DOCUMENTS for command in re.findall(pattern, file.read_text())}
    assert named <= ours | djangos


def test_every_module_that_a_document_starts_exists():
    named = {
        m for file in DOCUMENTS for m in re.findall(r"python -m ([a-z_]+(?:\.[a-z_]+)*)", file.read_text())
    }
    missing = [
        module
        for module in sorted(named)
        if not {f"{module.replace('.', '/')}.py", module.replace(".", "/")} & FILES and module != "pytest"
    ]
    assert missing == []


def test_every_decision_is_reachable_by_its_name():
    """A record that was renamed leaves no old name behind in the code."""
    named = {
        name
        for file in FILES
        if file.endswith((".py", ".md", ".yml", ".toml")) and (ROOT / file).is_file()
        for name in re.findall(r"docs/decisions/([a-z-]+\.md)", (ROOT / file).read_text())
    }
    assert named <= NAMES


def test_every_error_code_is_listed():
    raised = {
        code
        for file in FILES
        if file.endswith(".py") and not file.startswith(("tests/", "sandbox/"))
        for code in re.findall(r'(?:Problem|Answer|Detail)\(\s*(?:\d+, )?"(\w+)"', (ROOT / file).read_text())
    }
    assert "malformed_event" in raised
    assert sorted((SENTENCES.keys() | raised) - error_pages.entries().keys()) == []


def test_every_token_that_the_sandbox_does_not_simply_accept_is_listed():
    page = (ROOT / "docs/orders.md").read_text()
    special = {
        *DECLINING_TOKENS,
        *stripe.DECLINES,
        *stripe.NEEDS_CUSTOMER,
        *stripe.IS_SLOW,
        *stripe.REFUND_STATUS,
    }
    assert sorted(token for token in special if f"`{token}`" not in page) == []


def test_the_steps_of_an_upgrade_are_numbered_in_order():
    notes = (ROOT / "CHANGELOG.md").read_text().partition("### Upgrade notes")[2].partition("\n### ")[0]
    numbers = [int(number) for number in re.findall(r"(?m)^(\d+)\. ", notes)]
    assert numbers == list(range(1, len(numbers) + 1))


def test_the_changelog_leads_from_each_moved_module_to_one_that_exists():
    table = (ROOT / "CHANGELOG.md").read_text().partition("- Python modules.")[2].partition("\n- ")[0]
    moved = 0
    for row in table.splitlines():
        before, now = ([*map(str, CODE.findall(cell))] for cell in row.strip(" |").partition(" | ")[::2])
        if len(before) != len(now):
            continue  # in words
        for old, new in zip(before, now, strict=True):
            if new.rpartition(".")[2].islower():
                moved += 1
                assert importlib.util.find_spec(new), new
                assert not (ROOT / f"{old.replace('.', '/')}.py").exists(), old
    assert moved > 90
