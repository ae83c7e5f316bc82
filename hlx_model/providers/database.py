"""The SQLite file of the ledger: its tables, and transactions that processes take in turn.

    with transaction(files) as db:
        db.execute("SELECT * FROM calls")

Another program that reads it sees `calls` (a row for each call), `caps`, `closed` and `alerts`.
"""

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import psutil

from hlx_model.providers.files import ProviderFiles

_WAIT = 60.0
"""Seconds to wait for other processes."""
_NETWORK = ("nfs", "cifs", "smb", "9p", "afs", "ceph", "gluster", "sshfs", "lustre", "beegfs")
"""Beginnings of the names of network file systems, on which SQLite's write-ahead log does not work."""
_VERSION = 1
_TABLES = (
    """CREATE TABLE calls (
        id TEXT PRIMARY KEY, time TEXT NOT NULL, day TEXT NOT NULL, provider TEXT NOT NULL, model TEXT NOT NULL,
        purpose TEXT NOT NULL, session TEXT NOT NULL, question TEXT NOT NULL, reserved INTEGER NOT NULL,
        spent INTEGER NOT NULL, state TEXT NOT NULL, pid INTEGER NOT NULL, started REAL NOT NULL
    ) STRICT""",
    "CREATE INDEX calls_by_day ON calls (day, spent)",
    "CREATE INDEX calls_by_session ON calls (session, spent)",
    "CREATE TABLE caps (name TEXT PRIMARY KEY, amount INTEGER NOT NULL) STRICT",
    "CREATE TABLE closed (provider TEXT PRIMARY KEY, reason TEXT NOT NULL) STRICT",
    "CREATE TABLE alerts (name TEXT PRIMARY KEY, text TEXT NOT NULL, taken INTEGER NOT NULL) STRICT",
    f"PRAGMA user_version = {_VERSION}",
)


@contextmanager
def transaction(files: ProviderFiles) -> Iterator[sqlite3.Connection]:
    """Yield the database in a transaction that no other process writes beside; it is undone on an error."""
    path = files.ledger
    files.make()
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))  # SQLite's other files inherit the mode
    try:
        db = sqlite3.connect(path, timeout=_WAIT, isolation_level=None)
        try:
            db.row_factory = sqlite3.Row
            _choose_journal(db, "DELETE" if _is_on_network(f"{path.parent}") else "WAL")
            db.execute("PRAGMA synchronous = FULL")
            db.execute("BEGIN IMMEDIATE")
            try:
                _prepare(db)
                yield db
            except BaseException:
                db.execute("ROLLBACK")
                raise
            db.execute("COMMIT")
        finally:
            db.close()
    except sqlite3.OperationalError as error:
        raise ValueError(f"{path}: {error}: nothing is asked of a provider until the ledger can be written") from None
    except sqlite3.DatabaseError as error:
        raise ValueError(f"{path}: no ledger ({error}): put a copy back, or move it away and start at $0") from None


def _choose_journal(db: sqlite3.Connection, mode: str) -> None:
    """Choose the journal. SQLite does not wait here while another process does the same, so this does."""
    deadline = time.monotonic() + _WAIT
    while True:
        try:
            db.execute(f"PRAGMA journal_mode = {mode}")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
        time.sleep(0.01)


def _prepare(db: sqlite3.Connection) -> None:
    """Make the tables of a new ledger."""
    version = db.execute("PRAGMA user_version").fetchone()[0]
    if version > _VERSION:
        raise ValueError(f"the ledger is of version {version}, which a newer hlx wrote: use that one")
    if version == 0:
        for statement in _TABLES:
            db.execute(statement)


@cache
def _is_on_network(folder: str) -> bool:
    """Return whether a folder is on a network file system."""
    best, kind = "", ""
    for mount in psutil.disk_partitions(all=True):
        inside = folder == mount.mountpoint or folder.startswith(mount.mountpoint.rstrip("/") + "/")
        if inside and len(mount.mountpoint) >= len(best):
            best, kind = mount.mountpoint, mount.fstype.removeprefix("fuse.")
    return kind.startswith(_NETWORK)
