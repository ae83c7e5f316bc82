"""The watchdog records the time of its checks, and a trainer reports if they stop."""

import logging
import time
from pathlib import Path

import pytest

from hlx_model.layout import TICK
from hlx_model.runs.liveness import LivenessMonitor, Tick, asleep, last_tick, leave_tick


def test_a_check_records_its_time(tmp_path: Path) -> None:
    before = time.time()
    leave_tick(tmp_path / "training", 5.0)
    tick = last_tick(tmp_path / "training")
    assert tick is not None and before <= tick.time <= time.time() and tick.interval == 5.0


def test_the_watchdog_is_asleep_after_three_missed_checks(tmp_path: Path) -> None:
    tick = Tick(time=1000.0, interval=60.0)
    assert not tick.asleep(180.0) and tick.asleep(181.0)
    assert not tick.asleep(-180.0) and tick.asleep(-181.0)  # since then the clock was set back
    leave_tick(tmp_path)
    assert asleep(tmp_path) is None
    assert "was 200 seconds ago" in (asleep(tmp_path, 200) or "")
    assert "was 3600 seconds ahead of the clock" in (asleep(tmp_path, -3600) or "")


@pytest.mark.parametrize("content", ["", "{", "[]", '{"time": "soon", "interval": 60}', '{"time": 1}'])
def test_a_damaged_tick_is_none(tmp_path: Path, content: str) -> None:
    assert "has never run" in (asleep(tmp_path) or "")
    (tmp_path / TICK).write_text(content)
    assert last_tick(tmp_path) is None


def test_a_trainer_warns_once_if_the_watchdog_stops(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "hlx_model")
    clock = [0.0]
    monkeypatch.setattr("hlx_model.runs.liveness.time.monotonic", lambda: clock[0])
    monitor = LivenessMonitor(tmp_path, logging.getLogger("hlx_model").warning)

    def said_after(seconds: float) -> list[str]:
        """Check every ten seconds."""
        caplog.clear()
        for _ in range(int(seconds) // 10):
            clock[0] += 10.0
            monitor.check()
        return caplog.messages

    assert said_after(180) == []  # it is given the time of three checks to begin
    assert "this training is not watched: the watchdog has never run here" in said_after(60)[0]
    assert said_after(120) == []
    leave_tick(tmp_path)
    assert said_after(60) == ["the watchdog checks again"]
    assert said_after(170) == []
    clock[0] += 10_000.0  # both were asleep
    assert said_after(180) == []
    assert "the last check of the watchdog was " in said_after(80)[0]
