"""The German texts of customers' pages and mails: complete, and compiled."""

import ast
import re
from io import BytesIO
from pathlib import Path

from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

ROOT = Path(__file__).resolve().parents[2]
CATALOGUE = ROOT / "notifications" / "locale" / "de" / "LC_MESSAGES"
TRANSLATE = re.compile(r"""\{%\s*translate\s+(?:"([^"]*)"|'([^']*)')""")
BLOCK = re.compile(r"\{%\s*blocktranslate[^%]*%\}(.*?)\{%\s*endblocktranslate\s*%\}", re.DOTALL)


def catalogue():
    with (CATALOGUE / "django.po").open("rb") as file:
        return read_po(file, locale="de")


def texts() -> set[str]:
    found = set()
    for folder in ("board/templates", "notifications/templates"):
        for path in (ROOT / folder).rglob("*.*"):
            text = path.read_text()
            found |= {one or other for one, other in TRANSLATE.findall(text)}
            found |= {
                re.sub(r"\{\{\s*(\w+)\s*\}\}", r"%(\1)s", " ".join(each.split()))
                for each in BLOCK.findall(text)
            }
    for module in ("notifications/wording.py", "board/customer.py"):
        for node in ast.walk(ast.parse((ROOT / module).read_text())):
            match node:
                case ast.Call(func=ast.Name(id="_"), args=[ast.Constant(value=str(text))]):
                    found.add(text)
    return found


def test_every_text_is_translated_and_none_is_left_over():
    translated = {
        message.id for message in catalogue() if message.id and message.string and not message.fuzzy
    }
    assert translated == texts()


def test_placeholders_are_kept():
    for message in catalogue():
        if message.id:
            placeholders = re.compile(r"%\(\w+\)s|\{\w+\}")
            assert sorted(placeholders.findall(message.string)) == sorted(placeholders.findall(message.id))


def test_it_is_compiled():
    compiled = BytesIO()
    write_mo(compiled, catalogue())
    assert (CATALOGUE / "django.mo").read_bytes() == compiled.getvalue(), "Run `make translations`."
