"""The alerts on record are the last ones, whole, and readable after a kill."""

import logging
from pathlib import Path

import pytest

from hlx_assets.watchdog import alert_record
from hlx_assets.watchdog.alert_record import RecordedAlert, record_alert, recorded_alerts
from hlx_assets.watchdog.alerts import Alert, Notifier
from hlx_model.cleanup.disk import is_leftover
from hlx_model.files import unfinished
from hlx_model.layout import ALERTS_RECORD


def alert(number: int) -> RecordedAlert:
    return RecordedAlert(
        time=float(number), subject="curriculum", problem=f"Nr. {number}", run_id=None, training_id="a"
    )


def recorded(root: Path, limit: int = 10_000) -> list[float]:
    """The times of the alerts on record."""
    return [found.time for found in recorded_alerts(root, limit)]


def test_the_newest_alerts_come_first(tmp_path: Path) -> None:
    assert recorded_alerts(tmp_path, limit=5) == []
    for number in range(4):
        record_alert(tmp_path, alert(number))
    assert recorded_alerts(tmp_path, limit=2) == [alert(3), alert(2)]


def test_a_line_that_was_cut_off_is_skipped_and_costs_no_other(tmp_path: Path) -> None:
    record_alert(tmp_path, alert(1))
    path = tmp_path / ALERTS_RECORD
    whole = path.read_bytes()
    for cut in ("é".encode()[:1], whole[:40], b"[1]", b"null"):
        path.write_bytes(whole + cut)
        assert recorded(tmp_path) == [1]
        record_alert(tmp_path, alert(2))
        assert recorded(tmp_path) == [2, 1]


def test_a_long_record_is_shortened_to_the_last_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (alert_record.KEPT, alert_record.MOST) == (1_000, 2_000)
    monkeypatch.setattr(alert_record, "KEPT", 10)
    monkeypatch.setattr(alert_record, "MOST", 20)
    for number in range(19):
        record_alert(tmp_path, alert(number))
    assert len(recorded(tmp_path)) == 19
    record_alert(tmp_path, alert(19))
    assert recorded(tmp_path) == list(range(19, 9, -1))
    assert [path.name for path in tmp_path.iterdir()] == [ALERTS_RECORD]
    assert is_leftover(unfinished(tmp_path / ALERTS_RECORD)), "hlx clean knows what a kill would leave"


def test_an_alert_is_sent_although_the_record_cannot_be_written(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / ALERTS_RECORD).mkdir()
    assert Notifier({}, logging.getLogger("alerts"), tmp_path).notify(Alert("curriculum", "the disk is full"))
    assert "the alert is not on record: " in caplog.text
