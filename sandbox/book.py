"""The providers' ledger: a SQLite file, apart from the product's database.

WAL with `synchronous=NORMAL`: a commit survives `kill -9` of any process, though not a power cut.
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
    cents       INTEGER NOT NULL,       -- in minor units: 1,999 of 1999 JPY
    currency    TEXT NOT NULL,
    code        TEXT NOT NULL DEFAULT '',
    message     TEXT NOT NULL DEFAULT '',
    fingerprint TEXT NOT NULL,          -- of the request: the same key with another body is a conflict
    created_at  TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS operations_of_reference ON operations (reference);
CREATE INDEX IF NOT EXISTS operations_on_parent ON operations (parent) WHERE parent IS NOT NULL;

CREATE TABLE IF NOT EXISTS stripe_objects (
    id      TEXT NOT NULL UNIQUE,
    kind    TEXT NOT NULL,          -- payment_intent | refund
    parent  TEXT NOT NULL,          -- the intent of a refund
    created INTEGER NOT NULL,
    body    TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS stripe_objects_on_parent ON stripe_objects (parent) WHERE parent <> '';
CREATE TABLE IF NOT EXISTS stripe_keys (
    key TEXT PRIMARY KEY, fingerprint TEXT NOT NULL, status INTEGER NOT NULL, body TEXT NOT NULL
) WITHOUT ROWID;

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
    """Open or create the ledger. Statements outside `transaction` commit at once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    book = _connect(str(path))
    book.execute("PRAGMA journal_mode = WAL")
    book.execute("PRAGMA synchronous = NORMAL")
    book.executescript(SCHEMA)
    return book


def open_for_reading(path: Path) -> sqlite3.Connection:
    """Open a read-only connection, so that long reads do not block the event loop."""
    return _connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)


@contextmanager
def transaction(book: sqlite3.Connection) -> Iterator[None]:
    """Run the block in a transaction that takes the write lock first."""
    book.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        book.execute("ROLLBACK")
        raise
    book.execute("COMMIT")


def _connect(target: str, *, uri: bool = False) -> sqlite3.Connection:
    # threads of the pool share a streamed read
    book = sqlite3.connect(target, uri=uri, isolation_level=None, timeout=5, check_same_thread=False)
    book.row_factory = sqlite3.Row
    return book
