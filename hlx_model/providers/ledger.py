"""What is spent on providers: before each call its worst cost is reserved, after it the real one is booked.

    id = ledger.reserve(question, worst)   # NotAllowed: a cap would be passed, or the provider is closed
    ledger.settle(id, cost)                # or ledger.release(id): nothing was paid

Amounts are nanodollars. Spent is what is booked and what is reserved. A reservation whose process died stays spent
until a person releases it. SQLite serializes all processes, so no cap is ever passed by what is reserved.
"""

import os
import secrets
import sqlite3
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import psutil

from hlx_model.json_model import JsonModel
from hlx_model.money import NANO, dollars
from hlx_model.providers.database import transaction
from hlx_model.providers.files import ProviderFiles
from hlx_model.providers.question import Question

DEFAULT_CAPS: Mapping[str, int] = {"call": NANO // 4, "session": 5 * NANO, "day": 5 * NANO, "all": 20 * NANO}
"""Most that a call, a training session, a day (UTC) and all days may cost, in nanodollars."""
ALERT_SHARES = (50, 80, 100)
"""Percent of the caps of the day and of all at which an alert is due."""


class NotAllowed(ValueError):
    """A call that is not made: its message is one line that says why, and what to do."""


class Reservation(JsonModel):
    """A call that was started and whose cost is not known yet."""

    id: str
    time: str
    provider: str
    model: str
    purpose: str
    session: str
    amount: int
    alive: bool
    """Whether the process that asks is running."""


class Spending(JsonModel):
    """What is spent, in nanodollars; all sums but `booked` contain what is reserved."""

    booked: int
    reserved: int
    today: int
    all: int
    caps: dict[str, int]
    by_provider: dict[str, int]
    by_purpose: dict[str, int]
    by_session: dict[str, int]
    by_day: dict[str, int]
    calls: int
    open: tuple[Reservation, ...]
    closed: dict[str, str]
    """Why a provider is not called, by its name."""


class Ledger:
    """The ledger of a home. Any number of processes and threads may use it."""

    def __init__(self, files: ProviderFiles) -> None:
        self._files = files

    def reserve(self, question: Question, worst: int) -> str:
        """Reserve the worst cost of a call, in nanodollars, and return the id of the reservation.

        Raises:
            NotAllowed: the cap of the call, the session, the day or all would be passed, or the provider is closed.
            ValueError: the ledger cannot be read.
        """
        day = _today()
        choice, session = question.choice, question.session or ""
        refused = None
        with transaction(self._files) as db:
            caps = _caps(db)
            closed = db.execute("SELECT reason FROM closed WHERE provider = ?", (choice.provider,)).fetchone()
            if closed:
                raise NotAllowed(f"{choice.provider} is closed: {closed[0]}; `hlx costs reopen {choice.provider}`")
            spent = {"call": 0, "day": _spent(db, "day", day), "all": _spent(db)}
            if session:
                spent["session"] = _spent(db, "session", session)
            for name, already in spent.items():
                if already + worst > caps[name]:
                    refused = _over(name, already, worst, caps[name])
                    if name in ("day", "all"):
                        _alert(db, name, day, 100, caps[name], already)
                    break
            else:
                id = secrets.token_hex(6)
                db.execute(
                    "INSERT INTO calls VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'open', ?, ?)",
                    (id, datetime.now(UTC).isoformat(timespec="seconds"), day, choice.provider, choice.model,
                     question.purpose, session, question.digest, worst, worst, os.getpid(), _started(os.getpid())),
                )  # fmt: skip
        if refused:
            raise NotAllowed(refused)
        return id

    def settle(self, id: str, cost: int) -> None:
        """Book the cost of a call. One above its reservation closes the provider, and is an alert.

        Raises:
            ValueError: there is no such reservation, or it is settled; the ledger cannot be read.
        """
        with transaction(self._files) as db:
            row = _row(db, id)
            if row["state"] == "settled":
                raise ValueError(f"{id} is settled")
            db.execute("UPDATE calls SET state = 'settled', spent = ? WHERE id = ?", (cost, id))
            if cost > row["reserved"]:
                provider = row["provider"]
                reason = (
                    f"{row['model']} cost {dollars(cost)}, more than the {dollars(row['reserved'])} reserved for it"
                )
                db.execute("INSERT OR REPLACE INTO closed VALUES (?, ?)", (provider, reason))
                said = f"{provider} is closed: {reason}. Look at its price and bill, then `hlx costs reopen {provider}`"
                db.execute("INSERT OR IGNORE INTO alerts VALUES (?, ?, 0)", (f"closed:{id}", said))
            caps = _caps(db)
            for name, spent in (("day", _spent(db, "day", row["day"])), ("all", _spent(db))):
                reached = [share for share in ALERT_SHARES if spent * 100 >= share * caps[name] and spent]
                if reached:
                    _alert(db, name, row["day"], reached[-1], caps[name], spent)

    def release(self, id: str, *, dead_only: bool = False) -> None:
        """Give a reservation back: nothing was paid.

        Args:
            id: of the reservation.
            dead_only: refuse if the process that asks is running.

        Raises:
            ValueError: there is no such open reservation, or its process runs.
        """
        with transaction(self._files) as db:
            row = _row(db, id)
            if row["state"] != "open":
                raise ValueError(f"{id} is {row['state']}, not open")
            if dead_only and _alive(row):
                raise ValueError(f"{id} belongs to process {row['pid']}, which is running: it settles it itself")
            db.execute("UPDATE calls SET state = 'released', spent = 0 WHERE id = ?", (id,))

    def reopen(self, provider: str) -> None:
        """Let a closed provider be called again; `ValueError` if it is not closed."""
        with transaction(self._files) as db:
            if not db.execute("DELETE FROM closed WHERE provider = ?", (provider,)).rowcount:
                raise ValueError(f"{provider} is not closed")

    def caps(self) -> dict[str, int]:
        """Return the caps in nanodollars: call, session, day and all."""
        if not self._files.ledger.exists():
            return dict(DEFAULT_CAPS)
        with transaction(self._files) as db:
            return _caps(db)

    def set_cap(self, name: str, nano: int) -> None:
        """Set a cap, in nanodollars; `ValueError` if there is no such cap or the amount is none."""
        if name not in DEFAULT_CAPS:
            raise ValueError(f"cap is {name!r}: choose one of {', '.join(DEFAULT_CAPS)}")
        if not 0 <= nano <= 100_000 * NANO:
            raise ValueError(f"a cap is from $0 to $100,000, not {dollars(nano)}")
        with transaction(self._files) as db:
            db.execute("INSERT OR REPLACE INTO caps VALUES (?, ?)", (name, nano))

    def take_alerts(self) -> list[str]:
        """Return the alerts that are due, each once, whoever takes it."""
        if not self._files.ledger.exists():
            return []
        with transaction(self._files) as db:
            found = [row["text"] for row in db.execute("SELECT text FROM alerts WHERE taken = 0 ORDER BY rowid")]
            db.execute("UPDATE alerts SET taken = 1")
            return found

    def spending(self) -> Spending:
        """Return what is spent. `ValueError` if the ledger cannot be read."""
        if not self._files.ledger.exists():
            return Spending(
                booked=0, reserved=0, today=0, all=0, caps=dict(DEFAULT_CAPS), by_provider={}, by_purpose={},
                by_session={}, by_day={}, calls=0, open=(), closed={},
            )  # fmt: skip
        with transaction(self._files) as db:
            rows = db.execute("SELECT * FROM calls WHERE state = 'open' ORDER BY time, rowid").fetchall()
            reserved = sum(row["spent"] for row in rows)
            everything = _spent(db)
            return Spending(
                booked=everything - reserved, reserved=reserved, today=_spent(db, "day", _today()), all=everything,
                caps=_caps(db), calls=db.execute("SELECT COUNT(*) FROM calls WHERE state != 'released'").fetchone()[0],
                **{f"by_{column}": _sums(db, column) for column in ("provider", "purpose", "session", "day")},
                open=tuple(
                    Reservation(
                        amount=row["spent"], alive=_alive(row),
                        **{key: row[key] for key in ("id", "time", "provider", "model", "purpose", "session")},
                    )
                    for row in rows
                ),
                closed={row["provider"]: row["reason"] for row in db.execute("SELECT * FROM closed")},
            )  # fmt: skip


def _today() -> str:
    return datetime.now(UTC).date().isoformat()


def _caps(db: sqlite3.Connection) -> dict[str, int]:
    return {**DEFAULT_CAPS, **{row["name"]: row["amount"] for row in db.execute("SELECT * FROM caps")}}


def _spent(db: sqlite3.Connection, column: str = "", value: str = "") -> int:
    where = f" WHERE {column} = ?" if column else ""
    total: int = db.execute(f"SELECT COALESCE(SUM(spent), 0) FROM calls{where}", (value,) if column else ()).fetchone()[
        0
    ]
    return total


def _sums(db: sqlite3.Connection, column: str) -> dict[str, int]:
    query = f"SELECT {column}, SUM(spent) FROM calls WHERE {column} != '' GROUP BY {column} ORDER BY {column}"
    return dict(db.execute(query).fetchall())


def _row(db: sqlite3.Connection, id: str) -> Any:
    row = db.execute("SELECT * FROM calls WHERE id = ?", (id,)).fetchone()
    if row is None:
        raise ValueError(f"{id[:40]!r} is no reservation: `hlx costs` lists them")
    return row


def _over(name: str, already: int, worst: int, cap: int) -> str:
    """Return why a call is not made."""
    of = {"call": "a call", "session": "a session", "day": "a day", "all": "all days"}[name]
    spent = f" and {dollars(already)} of it is spent or reserved" if already else ""
    # A number of dollars that would be enough, in cents.
    enough = -(-(already + worst) * 100 // NANO) / 100
    return (
        f"the cap of {of} is {dollars(cap)}{spent}; this call may cost {dollars(worst)}: "
        f"raise it with `hlx costs cap {name} {enough:.2f}`"
    )


def _alert(db: sqlite3.Connection, name: str, day: str, share: int, cap: int, spent: int) -> None:
    """Note an alert, once for a cap and its amount; those of smaller shares are then no news."""
    of, scope = (f"the day {day}", day) if name == "day" else ("all days", "")
    said = f"Providers: {dollars(spent)} of {dollars(cap)} for {of} is spent or reserved ({share}%)"
    for other in ALERT_SHARES:
        if other <= share:
            key, taken = f"{name}:{scope}:{cap}:{other}", int(other < share)
            db.execute("INSERT OR IGNORE INTO alerts VALUES (?, ?, ?)", (key, said, taken))


def _started(pid: int) -> float:
    """Return when a process started; 0 if it is gone."""
    try:
        return psutil.Process(pid).create_time()
    except psutil.Error:
        return 0.0


def _alive(row: Any) -> bool:
    return bool(abs(_started(row["pid"]) - row["started"]) < 1.0)
