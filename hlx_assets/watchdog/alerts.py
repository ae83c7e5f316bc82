"""One notifier for all that a person must know: to the addresses in `HLX_ALERTS`, or to the log and the UI alone.

`HLX_ALERTS` holds Apprise's addresses, with space between them: `mailto://…`, `slack://…`, `json://host/path`. The same
trouble of the same asset is told once, until it has recovered.
"""

import json
import os
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import apprise

ADDRESSES = "HLX_ALERTS"
UI = "HLX_UI_URL"


class Log(Protocol):
    """A logger, as far as it is needed here."""

    def info(self, message: str, /) -> None:
        """Say what is of interest."""

    def warning(self, message: str, /) -> None:
        """Say what a person must know."""


@dataclass(frozen=True)
class Alert:
    """What a person is told."""

    subject: str
    """The asset that it is about, or the job."""
    trouble: str | None
    """One line with what to do; None where the subject has recovered."""
    run_id: str | None = None

    @property
    def title(self) -> str:
        """What stands in a mail's subject."""
        return f"HLX Brain: {self.subject} {'is in trouble' if self.trouble else 'has recovered'}"

    @property
    def body(self) -> str:
        """The reason, and where to look."""
        where = f"run {self.run_id}" if self.run_id else "no run"
        if self.run_id and (ui := os.environ.get(UI)):
            where = f"{ui.rstrip('/')}/runs/{self.run_id}"
        return f"{self.trouble or 'materialized again, and its checks passed'}\n{where}"

    @property
    def fingerprint(self) -> str | None:
        """The trouble without its figures, which differ each time that one looks."""
        return re.sub(r"[\d.,]+", "#", self.trouble) if self.trouble else None


@dataclass
class Notifier:
    """Sends alerts, and knows which troubles were told."""

    log: Log
    addresses: Sequence[str] = ()
    told: dict[str, str] = field(default_factory=dict)
    """Fingerprint by subject."""
    since: float = field(default_factory=time.time)
    """Unix seconds: what happened before was told."""

    @classmethod
    def of(cls, cursor: str | None, log: Log) -> "Notifier":
        """The notifier with what a cursor of an earlier one kept; the addresses come from the environment."""
        addresses = os.environ.get(ADDRESSES, "").split()
        return cls(log, addresses, **(json.loads(cursor) if cursor else {}))

    def cursor(self) -> str:
        """What the next one must know."""
        return json.dumps({"told": self.told, "since": self.since})

    def tell(self, alert: Alert) -> bool:
        """Send an alert, unless it was told already, or nothing was wrong before; whether it was news."""
        if alert.fingerprint == self.told.get(alert.subject):
            return False
        if alert.fingerprint is None:
            del self.told[alert.subject]
        else:
            self.told[alert.subject] = alert.fingerprint
        (self.log.warning if alert.trouble else self.log.info)(f"{alert.title}: {' '.join(alert.body.split())}")
        for address in self.addresses:
            self._send(address, alert)
        return True

    def _send(self, address: str, alert: Alert) -> None:
        kind = apprise.NotifyType.WARNING if alert.trouble else apprise.NotifyType.SUCCESS
        sender, service = apprise.Apprise(), address.partition("://")[0]  # the rest holds passwords
        if not sender.add(address):
            self.log.warning(f"{ADDRESSES}: {service}://… is no address that Apprise knows")
        elif not sender.notify(body=alert.body, title=alert.title, notify_type=kind):
            self.log.warning(f"{ADDRESSES}: {service}://… did not take the message")
