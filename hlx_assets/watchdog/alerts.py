"""Alerts: what a person must know, sent to the addresses in `HLX_ALERTS` and written into the log.

    python -m hlx_assets.watchdog.alerts        # make alert: a test message to each address

`HLX_ALERTS` contains addresses of Apprise, with spaces between them: `mailto://…`, `slack://…`, `json://host/path`. A
problem of an asset is sent once, until the asset has recovered.
"""

import json
import logging
import re
import sys
import time
from dataclasses import dataclass

import apprise
from pydantic import Field

from hlx_assets.common import exit_with_one_line
from hlx_assets.settings import ALERTS, UI_URL, DagsterEnvironment, service
from hlx_model.json_model import JsonModel


@dataclass(frozen=True)
class Alert:
    """A message for a person."""

    subject: str
    """The asset or the job that it is about."""
    problem: str | None
    """One line with what to do; None if the subject has recovered."""
    run_id: str | None = None
    training_id: str | None = None
    cancelled: bool = False
    """Whether a person ended the run: that is no failure, but others may wait for the run."""

    @property
    def title(self) -> str:
        """The subject of a mail."""
        what = "has recovered" if self.problem is None else "was cancelled" if self.cancelled else "has a problem"
        return f"HLX Brain: {self.subject} {what}"

    @property
    def body(self) -> str:
        """The problem, the training and the run; the run as a link if `HLX_UI_URL` is set."""
        where = [f"training {self.training_id}"] if self.training_id else []
        if self.run_id:
            ui = DagsterEnvironment.read(UI_URL).ui_url
            where.append(f"{ui.rstrip('/')}/runs/{self.run_id}" if ui else f"run {self.run_id}")
        return "\n".join([self.problem or "materialized again, and its checks passed", ", ".join(where)]).strip()

    @property
    def fingerprint(self) -> str | None:
        """The problem without its figures, which differ at each check; None without a problem."""
        return re.sub(r"[\d.,]+", "#", self.problem) if self.problem else None


class Cursor(JsonModel):
    """What a notifier remembers from one check of the watchdog to the next: the cursor of its sensor."""

    sent: dict[str, str] = Field(default_factory=dict, validation_alias="told", serialization_alias="told")
    """The fingerprint of the last problem that was sent, by subject."""
    since: float = Field(default_factory=time.time)
    """Unix seconds: what ended before was reported."""


class Notifier:
    """Sends alerts, each problem once."""

    def __init__(self, cursor: str | None, log: logging.Logger) -> None:
        self._log, self._addresses = log, DagsterEnvironment.read(ALERTS).alerts
        before = Cursor.from_json(json.loads(cursor)) if cursor else Cursor()
        self._sent, self.since = dict(before.sent), before.since

    def cursor(self) -> str:
        """Return the cursor for the next notifier."""
        return json.dumps(Cursor(sent=self._sent, since=self.since).to_json())

    def notify(self, alert: Alert) -> bool:
        """Send an alert unless it was sent before, or reports a recovery without a problem; return whether it was."""
        if alert.fingerprint == self._sent.get(alert.subject):
            return False
        self._sent.pop(alert.subject, None)
        if alert.fingerprint:
            self._sent[alert.subject] = alert.fingerprint
        level = logging.WARNING if alert.problem else logging.INFO
        self._log.log(level, f"{alert.title}: {' '.join(alert.body.split())}")
        for address in self._addresses:
            if error := send(address, alert.title, alert.body, good=alert.problem is None):
                self._log.warning(error)
        return True


def send(address: str, title: str, body: str, *, good: bool) -> str | None:
    """Send a message to an address of Apprise; return what went wrong, without secrets of the address, or None."""
    sender = apprise.Apprise()
    if not sender.add(address):
        return f"{ALERTS}: {service(address)} is no address that Apprise knows"
    kind = apprise.NotifyType.SUCCESS if good else apprise.NotifyType.WARNING
    accepted = sender.notify(body=body, title=title, notify_type=kind)
    return None if accepted else f"{ALERTS}: {service(address)} did not accept the message"


def main() -> int:
    """Send a test message to each address and print which accepted it; return 1 if one did not."""
    with exit_with_one_line():
        addresses = DagsterEnvironment.read(ALERTS, UI_URL).alerts
    if not addresses:
        sys.exit(f"error: {ALERTS} names no address, such as mailto://me:password@example.org or json://host/path")
    refusals = [send(one, "HLX Brain: a test", "If you read this, alerts reach you.", good=True) for one in addresses]
    for address, refused in zip(addresses, refusals, strict=True):
        sys.stdout.write(f"{refused or f'{service(address)} accepted the message'}\n")
    return 1 if any(refusals) else 0


if __name__ == "__main__":
    sys.exit(main())
