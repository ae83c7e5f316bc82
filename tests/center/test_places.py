"""Why a session waits is found without reading every training of the home."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from dagster._daemon.types import DaemonHeartbeat

from hlx_assets.center import places, sessions
from hlx_assets.center.context import Center
from hlx_model.layout import HEARTBEAT
from tests.support.calls import calls_of
from tests.support.center import add_session, center_of
from tests.support.dagster_home import Home


@pytest.fixture
def center(home: Home) -> Iterator[Center]:
    """The Center of a home in which a curriculum was trained, with a daemon."""
    with center_of(home) as made:
        made.instance.add_daemon_heartbeat(DaemonHeartbeat(time.time(), "QUEUED_RUN_COORDINATOR", "a-daemon", []))
        yield made


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The trainings whose files are read, in their order."""
    return calls_of(monkeypatch, places, "row_of", lambda path: str(path.name))


def reason(center: Center, corpus: str) -> str | None:
    """Why a session of this corpus waits; nothing that was found before is used."""
    places._passed.cache_clear()
    run_id = add_session(center.instance, corpus=corpus)
    return sessions.session(center, run_id).reason


def trained(home: Home, phase: int) -> Path:
    """The directory of the training of a phase."""
    return home.latest(f"phase{phase}_checkpoint").parents[1]


def test_only_the_newest_training_of_the_phase_before_is_read(center: Center, home: Home, read: list[str]) -> None:
    assert reason(center, "HLX") == "next in line: Dagster starts it in a few seconds"
    assert read == [trained(home, 1).name]


def test_a_training_without_a_heartbeat_counts_too(center: Center, home: Home, read: list[str]) -> None:
    (trained(home, 1) / HEARTBEAT).unlink()
    assert reason(center, "HLX") == "next in line: Dagster starts it in a few seconds"
    assert read == [trained(home, 1).name]


def test_without_a_checkpoint_that_passed_the_gate_is_closed(center: Center, home: Home, read: list[str]) -> None:
    center.artifacts.report(home.latest("phase1_checkpoint")).rename(home.path / "moved")
    assert str(reason(center, "HLX")).startswith("the gate of phase 1 is closed")
    assert read == [trained(home, 1).name]
