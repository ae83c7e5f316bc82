"""Alerts: what a person must know, sent to the addresses in `HLX_ALERTS`, written into the log and kept on record.

    python -m hlx_assets.watchdog.alerts        # make alert: a test message to each address

`HLX_ALERTS` contains addresses of Apprise, with spaces between them: `mailto://…`, `slack://…`, `json://host/path`. A
problem of an asset is sent once, until the asset has recovered.
"""

import argparse
import json
import logging
import re
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Thread

import apprise
from pydantic import Field

from hlx_assets.common import exit_with_one_line
from hlx_assets.settings import ALERTS, UI_URL, DagsterEnvironment, sender_to, unknown_address
from hlx_assets.watchdog.alert_record import RecordedAlert, record_alert
from hlx_model.json_model import JsonModel
from hlx_model.runs.stopwatch import Counts

SECONDS = 10.0
"""For all addresses together to accept a message."""


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
    def recorded(self) -> RecordedAlert:
        """The alert with the present time, for the record."""
        ids = {"run_id": self.run_id, "training_id": self.training_id}
        return RecordedAlert(time=time.time(), subject=self.subject, problem=self.problem, **ids)

    @property
    def fingerprint(self) -> str | None:
        """The problem without its figures, which differ at each check; None without a problem."""
        return re.sub(r"[\d.,]+", "#", self.problem) if self.problem else None


class Cursor(JsonModel):
    """What the watchdog remembers from one check to the next: the cursor of its sensor."""

    sent: dict[str, str] = Field(default_factory=dict, validation_alias="told", serialization_alias="told")
    """The fingerprint of the last problem that was sent, by subject."""
    since: float = Field(default_factory=time.time)
    """Unix seconds: what ended before was reported."""
    counts: Counts | None = None
    """For how long each training has been the same."""

    @classmethod
    def load(cls, text: str | None, log: logging.Logger) -> "Cursor":
        """Read the cursor of a sensor; None: that of its first check. A damaged one is logged, and begins anew."""
        try:
            return cls.from_json(json.loads(text)) if text else cls()
        except ValueError as error:
            log.warning(f"the cursor of the watchdog is damaged, and begins anew: {error}")
            return cls()

    def dump(self) -> str:
        """Return the cursor for the sensor."""
        return json.dumps(self.to_json())


class Notifier:
    """Sends alerts, each problem once."""

    def __init__(self, sent: Mapping[str, str], log: logging.Logger, root: Path) -> None:
        """Take what was sent before.

        Args:
            sent: the fingerprint of the last problem that was sent, by subject.
            log: gets every alert.
            root: of the artifacts, where every alert is recorded.
        """
        self._log, self._root, self._addresses = log, root, DagsterEnvironment.read(ALERTS).alerts
        self.sent = dict(sent)

    def notify(self, alert: Alert) -> bool:
        """Send an alert unless it was sent before, or reports a recovery without a problem; return whether it was."""
        if alert.fingerprint == self.sent.get(alert.subject):
            return False
        self.sent.pop(alert.subject, None)
        if alert.fingerprint:
            self.sent[alert.subject] = alert.fingerprint
        level = logging.WARNING if alert.problem else logging.INFO
        self._log.log(level, f"{alert.title}: {' '.join(alert.body.split())}")
        try:
            record_alert(self._root, alert.recorded)
        except OSError as unwritten:  # such as a full disk, which may be what the alert says
            self._log.warning(f"the alert is not on record: {unwritten}")
        for error in filter(None, send(self._addresses, alert.title, alert.body, good=alert.problem is None)):
            self._log.warning(f"{ALERTS}: {error}")
        return True


def send(addresses: Sequence[str], title: str, body: str, *, good: bool) -> list[str | None]:
    """Send a message to addresses of Apprise, to all at the same time.

    Returns:
        What went wrong with each, which is named by its number: any part of it may be a secret. None if it accepted the
        message within `SECONDS`.
    """
    kind = apprise.NotifyType.SUCCESS if good else apprise.NotifyType.WARNING
    results: list[str | None] = [f"address {number + 1} did not answer in time" for number in range(len(addresses))]

    def deliver(number: int, sender: apprise.Apprise | None) -> None:
        if sender is None:
            results[number] = unknown_address(number + 1)
        else:
            accepted = sender.notify(body=body, title=title, notify_type=kind)
            results[number] = None if accepted else f"address {number + 1} did not accept the message"

    # Daemons: one that hangs does not keep this process from ending.
    threads = [Thread(target=deliver, args=(n, sender_to(a)), daemon=True) for n, a in enumerate(addresses)]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + SECONDS
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    return list(results)


def main(arguments: Sequence[str] | None = None) -> int:
    """Send a test message to each address and print which accepted it; return 1 if one did not.

    Args:
        arguments: of the command line; by default those of this process.
    """
    about = f"Send a test message to each address in {ALERTS}. Exit code 1: one did not accept it."
    argparse.ArgumentParser(prog="python -m hlx_assets.watchdog.alerts", description=about).parse_args(arguments)
    with exit_with_one_line():
        addresses = DagsterEnvironment.read(ALERTS, UI_URL).alerts
    if not addresses:
        sys.exit(f"error: {ALERTS} names no address, such as mailto://me:password@example.org or json://host/path")
    refusals = send(addresses, "HLX Brain: a test", "If you read this, alerts reach you.", good=True)
    for number, refused in enumerate(refusals, 1):
        sys.stdout.write(f"{ALERTS}: {refused or f'address {number} accepted the message'}\n")
    return 1 if any(refusals) else 0


if __name__ == "__main__":
    sys.exit(main())
