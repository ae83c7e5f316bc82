"""The watchdog sensor on a real instance: what it stops, and what it does not touch."""

import logging
import os
import subprocess
import time
from dataclasses import replace
from typing import cast

import dagster as dg
import pytest

from hlx_assets.watchdog.alert_record import recorded_alerts
from hlx_assets.watchdog.alerts import Cursor
from hlx_assets.watchdog.runs import (
    _REQUESTED_TAG,
    GONE,
    GRACE,
    REASON_TAG,
    WORKER_TAG,
    close_dead_runs,
    record_worker,
    runs_elsewhere,
    worker_of,
)
from hlx_assets.watchdog.sensors import watchdog_sensor
from hlx_model.monitoring.snapshots import scan
from hlx_model.runs.heartbeat import Heartbeat
from hlx_model.runs.metrics import Metrics, MetricsRow
from hlx_model.runs.processes import ProcessRef, process_identity
from tests.support.dagster_home import Home
from tests.support.processes import ended_process, worker

__all__ = ["worker"]

training_watchdog = watchdog_sensor(60)


def started_run(instance: dg.DagsterInstance, worker: ProcessRef) -> dg.DagsterRun:
    """A run, on which its process has recorded itself."""
    run = dg.DagsterRun(job_name="curriculum", status=dg.DagsterRunStatus.STARTED)
    instance.add_run(run)
    record(instance, run, worker)
    return run


def record(instance: dg.DagsterInstance, run: dg.DagsterRun, worker: ProcessRef) -> None:
    tag = f"{run.run_id[:8]} {worker.host} {worker.pid} {worker.identity}"
    instance.add_run_tags(run.run_id, {WORKER_TAG: tag})


class Daemon:
    """Ticks the watchdog with its cursor, on a clock of its own."""

    cursor: str | None = None
    now = 1000.0

    def tick(self, instance: dg.DagsterInstance) -> str:
        """Return what the watchdog reports."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("hlx_model.runs.stopwatch.time.monotonic", lambda: self.now)
            with dg.build_sensor_context(instance=instance, cursor=self.cursor) as context:
                result = training_watchdog(context)
                self.cursor = context.cursor
        assert isinstance(result, dg.SkipReason)
        return result.skip_message or ""

    def watch(self, instance: dg.DagsterInstance, seconds: float) -> str:
        """Tick now, and once a minute for so long; return all reports."""
        said, end = [self.tick(instance)], self.now + seconds
        while self.now < end:
            self.now = min(self.now + 60, end)
            said.append(self.tick(instance))
        return "\n".join(said)


def tick(instance: dg.DagsterInstance, after: float = 0.0) -> str:
    """Return what a watchdog reports that has watched for so many seconds."""
    return Daemon().watch(instance, after)


def beat_of(run: dg.DagsterRun, trainer: ProcessRef) -> Heartbeat:
    return Heartbeat(
        "0" * 16, 1, "tiny", 10, status="training", step=9, run_id=run.run_id, host=trainer.host, pid=trainer.pid,
        process=trainer.identity, train_loss=1.0,
    )  # fmt: skip


def write(home: Home, beat: Heartbeat) -> None:
    directory = home.path / "artifacts" / "training" / beat.training_id
    directory.mkdir(parents=True, exist_ok=True)
    beat.write(directory)


def current(instance: dg.DagsterInstance, run: dg.DagsterRun) -> dg.DagsterRun:
    """Return a run as it is now."""
    found = instance.get_run_by_id(run.run_id)
    assert found is not None
    return found


def status(instance: dg.DagsterInstance, run: dg.DagsterRun) -> dg.DagsterRunStatus:
    return current(instance, run).status


def test_a_healthy_training_is_left_alone(empty_home: Home, worker: "subprocess.Popen[bytes]") -> None:
    with empty_home.instance() as instance:
        run = started_run(instance, ProcessRef.of(worker.pid))
        write(empty_home, beat_of(run, ProcessRef.of(worker.pid)))
        assert "all well" in tick(instance, after=200)
        assert status(instance, run) == dg.DagsterRunStatus.STARTED
    assert worker.poll() is None


@pytest.mark.parametrize(
    ("change", "age", "reason"),
    [
        ({}, 400.0, "no progress for"),
        ({"train_loss": float("nan")}, 100.0, "training loss nan, required finite"),
        ({"held_out_loss": float("inf")}, 100.0, "validation loss inf, required finite"),
    ],
)
def test_a_lost_training_is_stopped_with_its_reason_on_the_run(
    empty_home: Home, worker: "subprocess.Popen[bytes]", change: dict[str, float], age: float, reason: str
) -> None:
    with empty_home.instance() as instance:
        run = started_run(instance, ProcessRef.of(worker.pid))
        write(empty_home, replace(beat_of(run, ProcessRef.of(worker.pid)), **change))  # type: ignore[arg-type]
        assert reason in tick(instance, after=age)
        assert current(instance, run).is_finished and reason in current(instance, run).tags[REASON_TAG]
    worker.wait(10)
    newest = recorded_alerts(empty_home.path / "artifacts", limit=1)
    assert [(found.run_id, reason in str(found.problem)) for found in newest] == [(run.run_id, True)]


@pytest.mark.parametrize("ahead", [-3600.0, 3600.0, 10.0**8])
def test_a_clock_that_was_set_neither_hides_a_stall_nor_makes_one(
    empty_home: Home, worker: "subprocess.Popen[bytes]", ahead: float
) -> None:
    with empty_home.instance() as instance:
        run = started_run(instance, ProcessRef.of(worker.pid))
        there = time.time() + ahead
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("hlx_model.runs.heartbeat.time.time", lambda: there)
            write(empty_home, beat_of(run, ProcessRef.of(worker.pid)))
        daemon = Daemon()
        assert "no progress" not in daemon.watch(instance, 290)
        assert "no progress for 301 seconds" in daemon.watch(instance, 11)


def test_while_the_watchdog_slept_nothing_stood_still(empty_home: Home, worker: "subprocess.Popen[bytes]") -> None:
    with empty_home.instance() as instance:
        run, daemon = started_run(instance, ProcessRef.of(worker.pid)), Daemon()
        write(empty_home, beat_of(run, ProcessRef.of(worker.pid)))
        daemon.watch(instance, 290)
        daemon.now += 3600  # the machine was suspended, or its daemon stopped
        assert "no progress" not in daemon.watch(instance, 290)
        assert "no progress" in daemon.watch(instance, 60)
        assert current(instance, run).is_finished


def test_a_training_that_proceeds_slowly_is_left_alone(empty_home: Home, worker: "subprocess.Popen[bytes]") -> None:
    with empty_home.instance() as instance:
        run, daemon = started_run(instance, ProcessRef.of(worker.pid)), Daemon()
        beat = beat_of(run, ProcessRef.of(worker.pid))
        for _ in range(4):
            write(empty_home, beat)  # the same step, a new heartbeat
            assert "no progress" not in daemon.watch(instance, 240)


def test_a_training_whose_process_is_dead_is_closed(empty_home: Home) -> None:
    with empty_home.instance() as instance:
        run = started_run(instance, ended_process())
        write(empty_home, beat_of(run, ended_process()))
        assert f"{run.run_id[:8]}: closed, its process is gone" in tick(instance)
        assert status(instance, run) == dg.DagsterRunStatus.FAILURE


def test_a_dead_trainer_whose_run_has_ended_is_recorded_as_failed(empty_home: Home) -> None:
    with empty_home.instance() as instance:
        run = started_run(instance, ended_process())
        beat = beat_of(run, ended_process())
        write(empty_home, beat)
        instance.report_run_failed(run)
        instance.add_run_tags(run.run_id, {REASON_TAG: "no progress for 400 seconds"})
        tick(instance)
        (found,) = scan(empty_home.path / "artifacts" / "training").watched
        closed = found.snapshot.beat
        assert (closed.status, closed.reason, closed.time) == ("failed", "no progress for 400 seconds", beat.time)
        assert tick(instance) == "no training is running"


def test_a_lost_training_of_the_command_line_is_an_alert_and_not_stopped(
    empty_home: Home, worker: "subprocess.Popen[bytes]"
) -> None:
    with empty_home.instance() as instance:
        process = ProcessRef.of(worker.pid)
        beat = replace(beat_of(started_run(instance, process), process), run_id=None)
        write(empty_home, beat)
        daemon = Daemon()
        assert "needs a person" in daemon.watch(instance, 400)
        assert "hlx train --phase 1" in (daemon.cursor or "")
    assert worker.poll() is None


def claim_slot(instance: dg.DagsterInstance, run: dg.DagsterRun) -> None:
    """Give a run the slot of the pool `training`."""
    instance.event_log_storage.set_concurrency_slots("training", 1)
    assert instance.event_log_storage.claim_concurrency_slot("training", run.run_id, "phase1_checkpoint").is_claimed


def test_the_slot_of_an_ended_run_is_freed_when_its_process_is_gone(
    empty_home: Home, worker: "subprocess.Popen[bytes]"
) -> None:
    with empty_home.instance() as instance:
        run = started_run(instance, ProcessRef.of(worker.pid))
        claim_slot(instance, run)
        instance.report_run_failed(run, "as Dagster's own monitoring does")
        storage = instance.event_log_storage
        assert close_dead_runs(instance) == [] and storage.get_concurrency_info("training").claimed_slots
        worker.kill()
        worker.wait()
        assert close_dead_runs(instance) == [] and not storage.get_concurrency_info("training").claimed_slots
        assert current(instance, run).tags[REASON_TAG] == GONE


def test_a_dead_trainer_is_left_to_its_worker_for_a_minute(empty_home: Home, worker: "subprocess.Popen[bytes]") -> None:
    trainer = ended_process()
    with empty_home.instance() as instance:
        run = started_run(instance, ProcessRef.of(worker.pid))
        write(empty_home, beat_of(run, trainer))
        daemon = Daemon()
        assert "is gone" not in daemon.watch(instance, 50)
        assert f"process {trainer.pid} is gone" in daemon.watch(instance, 20)
    worker.wait(10)


def test_a_run_that_is_being_stopped_keeps_its_first_reason(
    empty_home: Home, worker: "subprocess.Popen[bytes]"
) -> None:
    trainer = ended_process()
    with empty_home.instance() as instance:
        run = started_run(instance, ProcessRef.of(worker.pid))
        instance.add_run_tags(run.run_id, {REASON_TAG: "no progress for 301 seconds"})
        write(empty_home, beat_of(run, trainer))
        assert "no progress for 301 seconds" in tick(instance, after=400)
        assert current(instance, run).tags[REASON_TAG] == "no progress for 301 seconds"
    worker.wait(10)


OTHER = {
    "host": lambda ref: replace(ref, host="another-machine"),
    "machine": lambda ref: replace(ref, identity="f" * 12 + ref.identity[ref.identity.index(":") :]),
    "pid namespace": lambda ref: replace(ref, identity=changed(ref.identity, 2, "4026539999")),
    "start time": lambda ref: replace(ref, identity=changed(ref.identity, 3, "1")),
    "of an older version": lambda ref: replace(ref, identity=":".join(ref.identity.split(":")[1::2])),
    "unknown": lambda ref: replace(ref, identity=None),
}
"""Changes that make the same pid another process."""
ELSEWHERE = [name for name in OTHER if name != "start time"]


def changed(identity: str, part: int, value: str) -> str:
    parts = identity.split(":")
    parts[part] = value
    return ":".join(parts)


@pytest.mark.parametrize("what", ELSEWHERE)
def test_a_lost_training_of_another_machine_is_named_and_not_ended(
    empty_home: Home, worker: "subprocess.Popen[bytes]", what: str
) -> None:
    there = OTHER[what](ProcessRef.of(worker.pid))
    with empty_home.instance() as instance:
        run = started_run(instance, there)
        write(empty_home, beat_of(run, there))
        daemon = Daemon()
        daemon.watch(instance, 400)
        # Dagster requested its end a minute ago.
        said = daemon.watch(instance, GRACE)
        assert f"process {worker.pid} on {there.host}" in said or "was not recorded" in said
        assert "end it there" in said
        assert not current(instance, run).is_finished
        (found,) = scan(empty_home.path / "artifacts" / "training").watched
        assert found.snapshot.beat.running and found.snapshot.alive
        # Its run ends, and its trainer is still not this machine's.
        instance.report_run_failed(run)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("hlx_assets.watchdog.runs.GRACE", -1.0)
            assert "end it there" in daemon.tick(instance)
    assert worker.poll() is None


@pytest.mark.parametrize("what", ELSEWHERE)
def test_a_run_of_another_machine_is_named_and_not_closed(
    empty_home: Home, worker: "subprocess.Popen[bytes]", what: str
) -> None:
    with empty_home.instance() as instance:
        run = started_run(instance, OTHER[what](ended_process()))
        claim_slot(instance, run)
        assert close_dead_runs(instance) == []
        assert status(instance, run) == dg.DagsterRunStatus.STARTED
        assert instance.event_log_storage.get_concurrency_info("training").claimed_slots
        (line,) = runs_elsewhere(instance)
        assert line.startswith(f"run {run.run_id[:8]}")
        assert line in tick(instance)


def test_a_process_that_only_has_the_pid_of_a_trainer_is_left_alone(
    empty_home: Home, worker: "subprocess.Popen[bytes]"
) -> None:
    reused = OTHER["start time"](ProcessRef.of(worker.pid))
    with empty_home.instance() as instance:
        run = started_run(instance, reused)
        write(empty_home, beat_of(run, reused))
        assert "closed" in tick(instance) and current(instance, run).is_finished
    assert worker.poll() is None


def test_a_run_without_a_record_of_its_worker_is_not_closed(empty_home: Home) -> None:
    run = dg.DagsterRun(job_name="curriculum", status=dg.DagsterRunStatus.STARTED)
    with empty_home.instance() as instance:
        instance.add_run(run)
        assert close_dead_runs(instance) == [] and "was not recorded" in tick(instance)


def test_tags_that_a_run_inherits_from_an_earlier_one_are_ignored(empty_home: Home) -> None:
    with empty_home.instance() as instance:
        earlier = started_run(instance, ended_process())
        instance.add_run_tags(earlier.run_id, {REASON_TAG: "no progress", _REQUESTED_TAG: "1"})
        tags = current(instance, earlier).tags
        again = dg.DagsterRun(job_name="curriculum", status=dg.DagsterRunStatus.STARTED, tags=tags)
        instance.add_run(again)
        assert close_dead_runs(instance) == [earlier.run_id]
        record_worker(instance, again)
        found = current(instance, again)
        assert worker_of(found) == ProcessRef.of(os.getpid())
        assert not found.tags[REASON_TAG] and not found.tags[_REQUESTED_TAG]


def test_a_trainer_of_another_database_is_an_alert_and_not_ended(
    empty_home: Home, worker: "subprocess.Popen[bytes]"
) -> None:
    elsewhere = dg.DagsterRun(job_name="curriculum")
    with empty_home.instance() as instance:
        write(empty_home, beat_of(elsewhere, ProcessRef.of(worker.pid)))
        daemon = Daemon()
        assert "needs a person" not in daemon.watch(instance, 100)
        assert "needs a person" in daemon.watch(instance, 300)
    assert worker.poll() is None


def test_a_trainer_of_another_machine_is_named_when_its_run_is_closed(
    empty_home: Home, worker: "subprocess.Popen[bytes]"
) -> None:
    trainer = replace(ProcessRef.of(worker.pid), host="node7")
    with empty_home.instance() as instance:
        run = started_run(instance, ProcessRef.of(worker.pid))
        write(empty_home, beat_of(run, trainer))
        said = tick(instance, after=400)
        assert f"killed and closed, but not its trainer, process {worker.pid} on node7: end it there" in said
        assert current(instance, run).is_finished


def test_a_damaged_tag_is_no_process(empty_home: Home) -> None:
    with empty_home.instance() as instance:
        for pid in ("99999999999999999999", "2147483648", "-1", "x", ""):
            run = started_run(instance, ProcessRef.of(os.getpid()))
            instance.add_run_tags(run.run_id, {WORKER_TAG: f"{run.run_id[:8]} here {pid} {process_identity()}"})
        assert close_dead_runs(instance) == []
        assert len(runs_elsewhere(instance)) == 5
        assert "was not recorded" in tick(instance)


def test_a_training_that_learns_by_heart_is_an_alert_and_not_stopped(
    empty_home: Home, worker: "subprocess.Popen[bytes]"
) -> None:
    with empty_home.instance() as instance:
        run, daemon = started_run(instance, ProcessRef.of(worker.pid)), Daemon()
        beat = beat_of(run, ProcessRef.of(worker.pid))
        write(empty_home, beat)
        assert "all well" in daemon.tick(instance)
        metrics = Metrics(empty_home.path / "artifacts" / "training" / beat.training_id)
        for epoch, held_out in ((1, 1.41), (2, 1.93)):
            row = {"step": epoch, "epoch": epoch, "train_loss": 1.0, "held_out_loss": held_out, "learning_rate": 1e-3}
            metrics.append(cast(MetricsRow, {**row, "tokens_per_second": None}))
        said = daemon.tick(instance)
        assert f"{run.run_id[:8]}: validation loss 1.93 at epoch 2 is 0.5 nats or more above its best" in said
        sent = Cursor.load(daemon.cursor, logging.getLogger()).sent
        assert said.endswith("(needs a person)") and list(sent) == ["phase1_checkpoint"]
        assert daemon.tick(instance) == said and Cursor.load(daemon.cursor, logging.getLogger()).sent == sent
        assert status(instance, run) == dg.DagsterRunStatus.STARTED
    assert worker.poll() is None
