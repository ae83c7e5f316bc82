"""The watchdog sensor on a real instance: what it stops, and what it leaves alone."""

import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace

import dagster as dg
import pytest
from dagster._core.events import EngineEventData

from hlx_assets.watchdog.runs import GONE, REASON_TAG, close_dead_runs
from hlx_assets.watchdog.sensors import training_watchdog
from hlx_model.processes import process_identity
from hlx_model.training.heartbeat import Heartbeat
from hlx_model.watchdog.trainings import trainings
from tests.assets.conftest import Home


@pytest.fixture
def worker() -> Iterator["subprocess.Popen[bytes]"]:
    """A process that stands for a trainer at work."""
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
    yield process
    process.kill()
    process.wait()


def started_run(instance: dg.DagsterInstance) -> dg.DagsterRun:
    run = dg.DagsterRun(job_name="curriculum", status=dg.DagsterRunStatus.STARTED)
    instance.add_run(run)
    return run


def tick(instance: dg.DagsterInstance) -> str:
    with dg.build_sensor_context(instance=instance) as context:
        result = training_watchdog(context)
    assert isinstance(result, dg.SkipReason)
    return result.skip_message or ""


def beat_of(run: dg.DagsterRun, pid: int) -> Heartbeat:
    return Heartbeat(
        "0" * 16, 1, "tiny", 10, status="training", step=9, run_id=run.run_id, pid=pid, process=process_identity(pid),
        train_loss=1.0,
    )  # fmt: skip


def write(home: Home, beat: Heartbeat, age: float = 0.0) -> None:
    directory = home.path / "artifacts" / "training" / beat.training_id
    directory.mkdir(parents=True, exist_ok=True)
    beat.write(directory)
    if age:
        path = directory / "heartbeat.json"
        path.write_text(path.read_text().replace(f'"time": {beat.time}', f'"time": {time.time() - age}'))


def status(instance: dg.DagsterInstance, run: dg.DagsterRun) -> dg.DagsterRunStatus:
    found = instance.get_run_by_id(run.run_id)
    assert found is not None
    return found.status


def test_a_healthy_training_is_left_alone(empty_home: Home, worker: "subprocess.Popen[bytes]") -> None:
    with empty_home.instance() as instance:
        run = started_run(instance)
        write(empty_home, beat_of(run, worker.pid), age=200)
        assert "all well" in tick(instance)
        assert status(instance, run) == dg.DagsterRunStatus.STARTED
    assert worker.poll() is None


@pytest.mark.parametrize(
    ("change", "age", "reason"),
    [
        ({}, 400.0, "no progress for"),
        ({"train_loss": float("nan")}, 100.0, "train_loss is nan"),
        ({"held_out_loss": float("inf")}, 100.0, "held_out_loss is inf"),
    ],
)
def test_a_lost_training_is_stopped_with_its_reason_on_the_run(
    empty_home: Home, worker: "subprocess.Popen[bytes]", change: dict[str, float], age: float, reason: str
) -> None:
    with empty_home.instance() as instance:
        run = started_run(instance)
        write(empty_home, replace(beat_of(run, worker.pid), **change), age=age)  # type: ignore[arg-type]
        assert reason in tick(instance)
        found = instance.get_run_by_id(run.run_id)
        assert found is not None and found.is_finished
        assert reason in found.tags[REASON_TAG]
    worker.wait(10)


def test_a_training_whose_process_is_dead_is_closed(empty_home: Home, worker: "subprocess.Popen[bytes]") -> None:
    with empty_home.instance() as instance:
        run = started_run(instance)
        write(empty_home, beat_of(run, worker.pid))
        worker.kill()
        worker.wait()
        assert f"process {worker.pid} is gone" in tick(instance)
        assert status(instance, run) == dg.DagsterRunStatus.FAILURE


def test_a_dead_trainer_whose_run_has_ended_is_noted_as_failed_and_looked_at_no_more(
    empty_home: Home, worker: "subprocess.Popen[bytes]"
) -> None:
    worker.kill()
    worker.wait()
    with empty_home.instance() as instance:
        run = started_run(instance)
        write(empty_home, beat_of(run, worker.pid), age=200)
        instance.report_run_failed(run)
        instance.add_run_tags(run.run_id, {REASON_TAG: "no progress for 400 seconds"})
        tick(instance)
        (found,) = trainings(empty_home.path / "artifacts" / "training")
        beat = found.seen.beat
        assert (beat.status, beat.reason) == ("failed", "no progress for 400 seconds")
        assert beat.time < time.time() - 199
        assert tick(instance) == "no training is at work"


def test_a_training_of_the_command_line_is_told_of_and_not_stopped(
    empty_home: Home, worker: "subprocess.Popen[bytes]"
) -> None:
    with empty_home.instance() as instance:
        beat = replace(beat_of(started_run(instance), worker.pid), run_id=None)
        write(empty_home, beat, age=400)
        with dg.build_sensor_context(instance=instance) as context:
            said = training_watchdog(context)
            assert isinstance(said, dg.SkipReason) and "a person must look" in (said.skip_message or "")
            assert "hlx train --phase 1" in (context.cursor or "")
    assert worker.poll() is None


def works_on(instance: dg.DagsterInstance, run: dg.DagsterRun, pid: int) -> None:
    """As a run's worker says that it is at work, holding the slot of the pool `training`."""
    data = EngineEventData(metadata={"pid": dg.MetadataValue.text(str(pid))})
    instance.report_engine_event("at work", run, data)
    instance.event_log_storage.set_concurrency_slots("training", 1)
    assert instance.event_log_storage.claim_concurrency_slot("training", run.run_id, "phase1_checkpoint").is_claimed


def test_the_slot_of_a_run_that_has_ended_is_freed_and_its_reason_noted_as_soon_as_its_process_is_gone(
    empty_home: Home, worker: "subprocess.Popen[bytes]"
) -> None:
    with empty_home.instance() as instance:
        run = started_run(instance)
        works_on(instance, run, worker.pid)
        instance.report_run_failed(run, "as Dagster's own monitoring does")
        storage = instance.event_log_storage
        assert close_dead_runs(instance) == [] and storage.get_concurrency_info("training").claimed_slots
        worker.kill()
        worker.wait()
        assert close_dead_runs(instance) == [] and not storage.get_concurrency_info("training").claimed_slots
        found = instance.get_run_by_id(run.run_id)
        assert found is not None and found.tags[REASON_TAG] == GONE


def test_a_dead_trainer_is_left_to_the_worker_that_knows_how_it_died_for_a_minute(
    empty_home: Home, worker: "subprocess.Popen[bytes]"
) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as trainer:
        trainer.wait()
    with empty_home.instance() as instance:
        run = started_run(instance)
        works_on(instance, run, worker.pid)
        write(empty_home, beat_of(run, trainer.pid), age=50)
        assert "all well" in tick(instance)
        write(empty_home, beat_of(run, trainer.pid), age=70)
        assert f"process {trainer.pid} is gone" in tick(instance)
    worker.wait(10)


def test_a_run_that_is_being_stopped_keeps_its_first_reason_when_its_trainer_is_gone(
    empty_home: Home, worker: "subprocess.Popen[bytes]"
) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as trainer:
        trainer.wait()
    with empty_home.instance() as instance:
        run = started_run(instance)
        works_on(instance, run, worker.pid)
        instance.add_run_tags(run.run_id, {REASON_TAG: "no progress for 301 seconds"})
        write(empty_home, beat_of(run, trainer.pid), age=400)
        assert "no progress for 301 seconds" in tick(instance)
        found = instance.get_run_by_id(run.run_id)
        assert found is not None and found.tags[REASON_TAG] == "no progress for 301 seconds"
    worker.wait(10)
