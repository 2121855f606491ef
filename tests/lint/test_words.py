"""The check of words finds them where people read, and only there."""

import re

from lint.words import Phrase, Text, comments, phrases, readable, violations

PHRASES = [Phrase(re.compile(r"\bnobody\b", re.IGNORECASE), "the actor")]
SOURCE = '''"""Nobody calls this."""

nobody = 1  # set by nobody


def read() -> str:
    """Return it."""
    return "nobody"
'''


def test_comments_and_docstrings_are_checked_and_names_and_strings_are_not():
    found = list(violations(list(comments("example.py", SOURCE)), PHRASES))
    assert sorted(line.split(": ")[0] for line in found) == ["example.py:1", "example.py:3"]


def test_a_document_may_name_what_the_code_is_called(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("`orders.nobody` moved.\nNobody and `nobody calls` did not.")
    found = list(violations(readable(str(page)), PHRASES))
    assert [line.split(": ")[0] for line in found] == [f"{page}:2"] * 2


def test_a_violation_names_its_line_and_what_to_write():
    (found,) = violations([Text("page.md", 1, "All is well.\nNobody waits.")], PHRASES)
    assert found == "page.md:2: 'Nobody': write the actor"


def test_every_phrase_of_the_list_is_an_expression_with_advice():
    assert all(phrase.advice for phrase in phrases())
