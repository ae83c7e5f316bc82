"""Health names what keeps a session from training, with what to do; nothing is wrong with a home that works."""

import time
from types import SimpleNamespace
from typing import Any

import dagster as dg
import pytest
import yaml
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteInstigatorOrigin, RemoteRepositoryOrigin
from dagster._core.scheduler.instigation import InstigatorState, InstigatorStatus, InstigatorType
from dagster._daemon.types import DaemonHeartbeat

from hlx_assets.center.health import ALERTS, WATCHDOG, health
from hlx_assets.center.models import Health
from hlx_assets.curriculum.session import SESSION
from hlx_assets.definitions import defs
from hlx_assets.watchdog.alert_record import RecordedAlert, record_alert
from hlx_model import __version__
from hlx_model.runs.heartbeat import Heartbeat
from hlx_model.runs.liveness import leave_tick
from tests.support.center import center_of
from tests.support.dagster_home import Home


def limit_sessions(home: Home, *, limited: bool) -> None:
    """Write the limit on sessions into the home's settings, or remove it."""
    path = home.path / "dagster.yaml"
    settings = yaml.safe_load(path.read_text(encoding="utf-8"))
    limits = [{"key": SESSION, "limit": 1}] if limited else []
    settings["concurrency"]["runs"]["tag_concurrency_limits"] = limits
    path.write_text(yaml.safe_dump(settings), encoding="utf-8")


def beat(instance: dg.DagsterInstance, age: float = 0.0) -> None:
    instance.add_daemon_heartbeat(DaemonHeartbeat(time.time() - age, "QUEUED_RUN_COORDINATOR", "a daemon", []))


def switch_off(instance: dg.DagsterInstance, sensor: str) -> None:
    origin = RemoteInstigatorOrigin(
        RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("hlx"), "__repository__"), sensor
    )
    instance.add_instigator_state(InstigatorState(origin, InstigatorType.SENSOR, InstigatorStatus.STOPPED))


@pytest.fixture
def working(empty_home: Home) -> Home:
    """A home whose daemon and watchdog have just worked."""
    limit_sessions(empty_home, limited=True)
    with empty_home.instance() as instance:
        beat(instance)
    leave_tick(empty_home.path / "artifacts" / "training")
    return empty_home


def seen(home: Home) -> Health:
    with center_of(home) as center:
        return health(center)


def test_nothing_is_wrong_with_a_home_that_works(working: Home) -> None:
    found = seen(working)
    assert (found.status, found.problems, found.daemon, found.watchdog) == ("ok", [], True, True)
    assert found.version == __version__ and found.device.startswith("cpu") and found.disk_free_bytes > 0


def test_without_a_daemon_nothing_starts_and_nothing_is_watched(empty_home: Home) -> None:
    limit_sessions(empty_home, limited=True)
    found = seen(empty_home)
    assert (found.status, found.daemon, found.watchdog) == ("degraded", False, False)
    no_daemon, no_watchdog = found.problems
    assert no_daemon == "no daemon is alive, so that no session starts: `make ui` runs it"
    assert no_watchdog.startswith("the watchdog has never run here: ")


def test_an_old_heartbeat_is_that_of_a_dead_daemon(working: Home) -> None:
    with working.instance() as instance:
        beat(instance, age=300)
    assert not seen(working).daemon


def test_a_watchdog_that_is_switched_off_is_named(working: Home) -> None:
    assert WATCHDOG in {sensor.name for sensor in defs.sensors or ()}
    with working.instance() as instance:
        switch_off(instance, "another_sensor")
        assert seen(working).problems == []
        switch_off(instance, WATCHDOG)
    found = seen(working)
    assert found.problems == [f"the sensor {WATCHDOG} is switched off: switch it on in Dagster's UI, under Automation"]
    assert not found.watchdog


def test_settings_without_the_limit_on_sessions_are_named(working: Home) -> None:
    limit_sessions(working, limited=False)
    (problem,) = seen(working).problems
    assert f"has no limit on the tag {SESSION}" in problem and str(working.path / "dagster.yaml") in problem


@pytest.mark.parametrize(("size", "needed"), [("tiny", "2.0 GiB"), ("1b", "11.3 GiB")])
def test_a_disk_without_room_for_the_next_checkpoint_is_named(
    working: Home, monkeypatch: pytest.MonkeyPatch, size: str, needed: str
) -> None:
    training = working.path / "artifacts" / "training" / "0123456789abcdef"
    training.mkdir()
    Heartbeat(training.name, phase=1, size=size, epochs=1, status="training").write(training)
    usage: Any = SimpleNamespace(free=1024**3)
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage)
    (problem,) = seen(working).problems
    assert problem == f"1.0 GiB free under {working.path}, and the next checkpoint may need {needed}: `hlx clean`"


def test_the_last_alerts_come_the_newest_first(working: Home) -> None:
    for time_ in range(25):
        told = RecordedAlert(time=time_, subject="phase1_checkpoint", problem="stalled", run_id="r", training_id=None)
        record_alert(working.path / "artifacts", told)
    found = seen(working)
    assert [alert.time.timestamp() for alert in found.alerts] == [float(24 - n) for n in range(ALERTS)]
    assert (found.alerts[0].subject, found.alerts[0].problem) == ("phase1_checkpoint", "stalled")
    assert found.status == "ok", "what has been told is not wrong now"
