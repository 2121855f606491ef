"""Check that what people read speaks the field's language: comments, docstrings, documents and templates.

`python -m lint.words` fails on the phrases of `words.toml`; `--figures` prints how comments compare with code.
"""

import argparse
import ast
import io
import re
import subprocess
import sys
import tokenize
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

LIST = Path(__file__).with_name("words.toml")
PROSE = (".md", ".html", ".txt")
# Recorded output, licences of others, lists of packages; and the list of phrases itself.
LEFT_OUT = re.compile(r"^(docs/(bench|chaos)/|.*/vendor/|requirements|LICENSE|lint/)")
NOT_PRODUCT = re.compile(r"^tests/|/migrations/")
# Names in the code may be older than the wording.
NAME = re.compile(r"`[\w.]+`")
WORD = re.compile(r"[A-Za-z][A-Za-z'-]*")
SPEECH = {
    "say",
    "says",
    "said",
    "saying",
    "tell",
    "tells",
    "told",
    "telling",
    "ask",
    "asks",
    "asked",
    "asking",
}
ACTORLESS = {"nobody", "somebody", "whoever", "everybody"}


class Text(NamedTuple):
    """Something that people read, and where it begins."""

    path: str
    line: int
    text: str


class Phrase(NamedTuple):
    """What not to write, and what to write instead."""

    pattern: re.Pattern[str]
    advice: str


def phrases(file: Path = LIST) -> list[Phrase]:
    """Return the phrases of the list."""
    entries = tomllib.loads(file.read_text())["phrase"]
    return [Phrase(re.compile(entry["match"], re.IGNORECASE), entry["write"]) for entry in entries]


def comments(path: str, source: str) -> Iterator[Text]:
    """Yield the comments and docstrings of a Python file."""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT and not re.match(r"#\s*(noqa|type:|fmt:)", token.string):
            yield Text(path, token.start[0], token.string)
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            docstring = ast.get_docstring(node, clean=False)
            if docstring:
                yield Text(path, node.body[0].lineno, docstring)


def readable(path: str) -> list[Text]:
    """Return what people read in a file."""
    source = Path(path).read_text()
    if path.endswith(".py"):
        return list(comments(path, source))
    return [Text(path, 1, NAME.sub(lambda name: " " * len(name[0]), source))]


def violations(texts: list[Text], listed: list[Phrase]) -> Iterator[str]:
    """Yield a line for each phrase that is used."""
    for text in texts:
        for phrase in listed:
            for match in phrase.pattern.finditer(text.text):
                line = text.line + text.text.count("\n", 0, match.start())
                yield f"{text.path}:{line}: {match[0]!r}: write {phrase.advice}"


def figures(files: list[str]) -> str:
    """Return how much is written in comments, and in which words, of the product's own Python files."""
    words: Counter[str] = Counter()
    code_lines = 0
    for path in files:
        source = Path(path).read_text()
        words.update(word.lower() for text in comments(path, source) for word in WORD.findall(text.text))
        code_lines += _code_lines(source)
    total = words.total() or 1
    speech, actorless = (sum(words[word] for word in group) for group in (SPEECH, ACTORLESS))
    return (
        f"{total / max(code_lines, 1):.2f} comment words per line of code; per 1,000 comment words"
        f" {speech * 1000 / total:.1f} of say/tell/ask, {actorless * 1000 / total:.1f} of nobody/somebody"
    )


def _code_lines(source: str) -> int:
    skipped = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT}
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    lines = {line for t in tokens if t.type not in skipped for line in range(t.start[0], t.end[0] + 1)}
    for node in ast.walk(ast.parse(source)):
        if isinstance(
            node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
        ) and ast.get_docstring(node):
            lines -= set(range(node.body[0].lineno, (node.body[0].end_lineno or 0) + 1))
    return len(lines)


def tracked(*patterns: str) -> list[str]:
    """Return the tracked files that match, but for those that are not ours to word."""
    listed = subprocess.run(["git", "ls-files", *patterns], capture_output=True, text=True, check=True).stdout
    return [path for path in listed.splitlines() if not LEFT_OUT.match(path)]


def main() -> int:
    """Print the violations, or the figures; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--figures", action="store_true", help="print figures of comments and docstrings")
    parser.add_argument("paths", nargs="*", help="files or folders; without any, everything")
    arguments = parser.parse_args()
    files = tracked(*arguments.paths)
    if arguments.figures:
        print(figures([path for path in files if path.endswith(".py") and not NOT_PRODUCT.search(path)]))
        return 0
    listed = phrases()
    found = [
        line
        for path in files
        if path.endswith((".py", *PROSE))
        for line in violations(readable(path), listed)
    ]
    print("\n".join(found))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
