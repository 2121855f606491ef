"""The providers' book: one SQLite file, deliberately apart from the database of the product.

A provider remembers what it did even when its customer forgets. WAL with `synchronous=NORMAL`: a commit has
reached the operating system before the answer goes out, so it outlives `kill -9` of this process and of ours
(a power cut may cost the last moments; that is not what the sandbox is for).
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SCHEMA = """
CREATE TABLE IF NOT EXISTS operations (
    digest      TEXT PRIMARY KEY,       -- of the key, and the tail of the id: one index finds it by either
    key         TEXT NOT NULL,
    kind        TEXT NOT NULL,          -- authorize | capture | void | refund
    status      TEXT NOT NULL,          -- succeeded | declined
    reference   TEXT NOT NULL,          -- the customer's name for it: the order
    parent      TEXT,                   -- the authorization of a capture or void, the capture of a refund
    cents       INTEGER NOT NULL,
    currency    TEXT NOT NULL,
    code        TEXT NOT NULL DEFAULT '',
    message     TEXT NOT NULL DEFAULT '',
    fingerprint TEXT NOT NULL,          -- of the request: the same key with another body is a conflict
    created_at  TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS operations_of_reference ON operations (reference);
CREATE INDEX IF NOT EXISTS operations_on_parent ON operations (parent) WHERE parent IS NOT NULL;

CREATE TABLE IF NOT EXISTS stock (
    sku      TEXT PRIMARY KEY,
    received INTEGER NOT NULL CHECK (received >= 0)
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS messages (
    number     INTEGER PRIMARY KEY AUTOINCREMENT,
    id         TEXT NOT NULL UNIQUE,
    recipient  TEXT NOT NULL,
    subject    TEXT NOT NULL,
    text       TEXT NOT NULL,
    html       TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    created_at TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS messages_to ON messages (recipient, number);

CREATE TABLE IF NOT EXISTS faults (provider TEXT PRIMARY KEY, script TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS tries (
    provider TEXT NOT NULL, operation TEXT NOT NULL, key TEXT NOT NULL, count INTEGER NOT NULL,
    PRIMARY KEY (provider, operation, key)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS milestones (name TEXT PRIMARY KEY) WITHOUT ROWID;
"""


def open_book(path: Path) -> sqlite3.Connection:
    """Open the book, making it on the first day. A statement outside `transaction` commits by itself."""
    path.parent.mkdir(parents=True, exist_ok=True)
    book = _connect(str(path))
    book.execute("PRAGMA journal_mode = WAL")
    book.execute("PRAGMA synchronous = NORMAL")
    book.executescript(SCHEMA)
    return book


def open_for_reading(path: Path) -> sqlite3.Connection:
    """A second, read-only connection, so that a long read does not stand in the way of the event loop."""
    return _connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)


@contextmanager
def transaction(book: sqlite3.Connection) -> Iterator[None]:
    """All or nothing, with the write lock taken first: what is read inside still holds when it is written."""
    book.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        book.execute("ROLLBACK")
        raise
    book.execute("COMMIT")


def _connect(target: str, *, uri: bool = False) -> sqlite3.Connection:
    # A streamed read is continued by whichever thread of the pool is free, one at a time.
    book = sqlite3.connect(target, uri=uri, isolation_level=None, timeout=5, check_same_thread=False)
    book.row_factory = sqlite3.Row
    return book
