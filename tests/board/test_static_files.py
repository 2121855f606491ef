"""The board's script as browsers get it outside of DEBUG: modules with hashed names that import hashed names."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings
from django.contrib.staticfiles.finders import find
from django.core.management import call_command
from django.test import override_settings

from config.static_files import HashedModulesStorage
from tests.board import chromium

SCRIPTS = Path(find("board/board.js") or "").parent
IMPORT = re.compile(r"""from\s*["']([^"']+)["']""")
LONGEST = 400


@pytest.fixture(scope="module")
def storage(tmp_path_factory) -> Iterator[HashedModulesStorage]:
    """All static files, collected as a release does it."""
    backends = settings.STORAGES | {"staticfiles": {"BACKEND": "config.static_files.HashedModulesStorage"}}
    with override_settings(STATIC_ROOT=tmp_path_factory.mktemp("static"), STORAGES=backends):
        call_command("collectstatic", interactive=False, verbosity=0)
        yield HashedModulesStorage()


def modules_from(storage: HashedModulesStorage, entry: str) -> dict[str, str]:
    """Return the modules that a browser loads, by name, following imports from an entry."""
    folder, waiting, loaded = Path(storage.location) / "board", [entry], {}
    while waiting:
        name = waiting.pop()
        if name not in loaded:
            loaded[name] = (folder / name).read_text()
            waiting += [path.removeprefix("./") for path in IMPORT.findall(loaded[name])]
    return loaded


@pytest.mark.parametrize("entry", ["board.js", "track.js", "page.js"])
def test_a_module_imports_only_hashed_names_that_exist(storage, entry):
    loaded = modules_from(storage, storage.stored_name(f"board/{entry}").removeprefix("board/"))
    assert all(re.fullmatch(r"[a-z]+\.[0-9a-f]{12}\.js", name) for name in loaded)


def test_a_module_is_loaded_once_under_one_name(storage):
    entries = [
        storage.stored_name(f"board/{name}").removeprefix("board/") for name in ("board.js", "track.js")
    ]
    names = {name for entry in entries for name in modules_from(storage, entry)}
    assert len({name.split(".")[0] for name in names}) == len(names)


def test_the_pages_load_every_module(storage):
    entries = [
        storage.stored_name(f"board/{name}.js").removeprefix("board/") for name in ("board", "track", "page")
    ]
    loaded = {name.split(".")[0] for entry in entries for name in modules_from(storage, entry)}
    assert loaded == {path.stem for path in SCRIPTS.glob("*.js")}


@pytest.mark.parametrize("path", sorted(SCRIPTS.glob("*.js")), ids=lambda path: path.name)
def test_a_module_can_be_read_in_one_go(path):
    assert len(path.read_text().splitlines()) <= LONGEST


@chromium.needed
def test_a_browser_runs_the_hashed_modules(storage):
    html = f'<html lang="en"><body data-page="track" data-order="x" data-sequence="0">{PARTS}</body>'
    with chromium.browser() as browser:
        page = browser.new_page()
        complaints = chromium.Complaints(page)
        page.route("http://shop.test/**", lambda route: serve(route, storage, html))
        page.goto("http://shop.test/")
        page.wait_for_selector("#connection[data-state=lost]")
        assert complaints == []


PARTS = """
<p id="connection"><span data-text></span></p><button id="theme"></button><p id="said"></p>
<div id="banner"><span id="banner-words"></span><span id="banner-detail"></span>
<button id="banner-remedy"></button></div>
<article id="track"></article>
"""


def serve(route, storage, html: str) -> None:
    """Answer as the web server of a release does: the page, and files by their hashed names only."""
    path = route.request.url.removeprefix("http://shop.test/")
    if not path:
        entries = [storage.stored_name(f"board/{name}.js") for name in ("page", "track")]
        scripts = "".join(f'<script type="module" src="/{entry}"></script>' for entry in entries)
        policy = {"Content-Security-Policy": "default-src 'self'; connect-src 'self' ws://shop.test"}
        route.fulfill(body=html + scripts, content_type="text/html", headers=policy)
    elif path in storage.hashed_files.values():
        route.fulfill(body=(Path(storage.location) / path).read_text(), content_type="text/javascript")
    else:
        route.fulfill(status=404)
