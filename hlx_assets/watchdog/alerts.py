"""One notifier for all that a person must know: to the addresses in `HLX_ALERTS`, or to the log and the UI alone.

`HLX_ALERTS` holds Apprise's addresses, with space between them: `mailto://…`, `slack://…`, `json://host/path`. The same
trouble of the same asset is told once, until it has recovered.
"""

import json
import os
import re
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import apprise

from hlx_assets.settings import ALERTS, UI_URL, alert_addresses, service


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
    training_id: str | None = None
    cancelled: bool = False
    """Somebody ended it: no trouble, but somebody else may wait for it."""

    @property
    def title(self) -> str:
        """What stands in a mail's subject."""
        what = "has recovered" if self.trouble is None else "was cancelled" if self.cancelled else "is in trouble"
        return f"HLX Brain: {self.subject} {what}"

    @property
    def body(self) -> str:
        """The reason, and where to look."""
        where = [f"training {self.training_id}"] if self.training_id else []
        if self.run_id:
            ui = os.environ.get(UI_URL)
            where.append(f"{ui.rstrip('/')}/runs/{self.run_id}" if ui else f"run {self.run_id}")
        return "\n".join([self.trouble or "materialized again, and its checks passed", ", ".join(where)]).strip()

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
        return cls(log, alert_addresses(), **(json.loads(cursor) if cursor else {}))

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
            if problem := send(address, alert.title, alert.body, good=alert.trouble is None):
                self.log.warning(problem)
        return True


def send(address: str, title: str, body: str, *, good: bool) -> str | None:
    """Send a message to one of Apprise's addresses; what went wrong, without the address's secrets, or None."""
    sender = apprise.Apprise()
    if not sender.add(address):
        return f"{ALERTS}: {service(address)} is no address that Apprise knows"
    kind = apprise.NotifyType.SUCCESS if good else apprise.NotifyType.WARNING
    if not sender.notify(body=body, title=title, notify_type=kind):
        return f"{ALERTS}: {service(address)} did not take the message"
    return None


def main() -> int:
    """`make alert`: a message to each address, so that one knows before the night that it arrives."""
    addresses = alert_addresses()
    if not addresses:
        sys.exit(f"error: {ALERTS} names no address, such as mailto://me:password@example.org or json://host/path")
    failed = 0
    for address in addresses:
        problem = send(address, "HLX Brain: a test", "If you read this, alerts reach you.", good=True)
        sys.stdout.write(f"{problem or f'{service(address)} took the message'}\n")
        failed += problem is not None
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
