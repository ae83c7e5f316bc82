"""The watchdog's rules judge a training from its record."""

import math
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hlx_model.layout import METRICS
from hlx_model.monitoring.losses import simulate
from hlx_model.monitoring.rules import Limits, Snapshot, check
from hlx_model.monitoring.snapshots import limits, scan, take_snapshot
from hlx_model.runs.heartbeat import Heartbeat
from hlx_model.runs.metrics import METRICS_SCHEMA, read_curve
from hlx_model.runs.processes import process_identity
from hlx_model.supervision.replay import recorded_curves
from hlx_model.verdicts import GateResult, Milestone, Outcome
from tests.support.curriculum import Curriculum
from tests.support.processes import beat_in

BEAT = Heartbeat("0" * 16, 1, "tiny", 10, status="training", epoch=2, step=40, steps=200, train_loss=2.0)
WELL = Snapshot(BEAT, disk_free=10**12, next_checkpoint=10**7)


def row(step: int, train_loss: float, held_out_loss: float | None = None, epoch: int = 1) -> dict[str, Any]:
    return {"step": step, "epoch": epoch, "train_loss": train_loss, "held_out_loss": held_out_loss}


def rising(*held_out: float) -> list[dict[str, Any]]:
    """Return the ends of epochs with these validation losses."""
    return [row(10 * epoch, 2.0, loss, epoch) for epoch, loss in enumerate(held_out, 1)]


def trouble(seen: Snapshot, age: float = 0.0) -> str | None:
    """Return the name of the problem, so many seconds after the last heartbeat."""
    found = check(seen, age)
    return found.name if found else None


def milestone(epoch: int, outcome: Outcome) -> Milestone:
    return Milestone(epoch=epoch, outcome=outcome, gates=(GateResult("copy_rate", outcome, "its reason"),))


def test_a_training_that_makes_progress_has_no_problem() -> None:
    assert trouble(WELL) is None and trouble(WELL, age=300) is None


@pytest.mark.parametrize(
    ("pace", "step", "age", "stalled"),
    [
        (2.0, 40, 301, True),
        (120.0, 40, 599, False),  # five of its own paces
        (120.0, 40, 601, True),
        (3600.0, 40, 2999, False),  # no longer time without a step counts than ten minutes
        (3600.0, 40, 3001, True),
        (0.0, 0, 899, False),  # before the first step
        (0.0, 0, 901, True),
    ],
)
def test_a_stall_is_five_minutes_or_five_of_its_own_paces(pace: float, step: int, age: float, stalled: bool) -> None:
    found = check(replace(WELL, beat=replace(BEAT, pace=pace, step=step)), age)
    assert (found is not None and found.name == "stalled") == stalled
    if found:
        assert found.lost and f"no progress for {age:.0f} seconds" in found.reason


GATE = GateResult("parameter_count", "fail", "1 parameters; tiny has 2", 1, 2)


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"alive": False}, "gone"),
        ({"curve": [row(20, math.nan)]}, "not_finite"),
        ({"curve": [row(20, 2.0, math.inf)]}, "not_finite"),
        ({"curve": [row(20, 2.0), row(30, 15.1)]}, "diverged"),
        ({"curve": [row(20, 18.0), row(30, 17.0)]}, None),  # it began there
        ({"curve": [row(20, 0.0009, 0.0009)]}, "collapsed"),
        ({"curve": [row(20, 0.0009, 0.0009, epoch=10)]}, None),
        ({"curve": [row(step, 1 + step / 100, 2.0, epoch=step) for step in range(1, 7)]}, "rising"),
        ({"curve": [row(step, 1 + step / 100, 2.0, epoch=step) for step in range(1, 6)]}, None),
        ({"checkpoint": [GATE]}, "wrong_size"),
        ({"milestones": [milestone(1, "fail")]}, "gate"),
        ({"milestones": [milestone(1, "warn")]}, None),
        ({"disk_free": 10**6}, "disk"),
        ({"beat": replace(BEAT, gpu_memory_bytes=98, gpu_memory_total=100)}, "gpu_memory"),
        ({"beat": replace(BEAT, gpu_memory_bytes=90, gpu_memory_total=100)}, None),
        ({"curve": rising(1.4, 1.9)}, "overfitting"),
        ({"curve": rising(1.4, 1.89)}, None),
        ({"curve": rising(1.4, 1.9, 1.6)}, None),  # it has recovered
        ({"curve": [*rising(1.4, 1.9), row(35, 2.0)]}, "overfitting"),  # until the next epoch has ended
        ({"curve": rising(1.9)}, None),  # the first epoch has no other to be above
        ({"curve": rising(1.4, 1.9), "disk_free": 10**6}, "disk"),
    ],
)
def test_each_problem_has_its_name_and_says_what_to_do(change: dict[str, Any], name: str | None) -> None:
    found = check(replace(WELL, **change), 0.0)
    assert (found.name if found else None) == name
    if found and name != "gate":
        assert ": " in found.reason and "\n" not in found.reason
    assert found is None or found.lost == (name not in ("gpu_memory", "overfitting"))


def test_the_trainer_has_a_minute_to_act_on_its_own_record() -> None:
    for change in ({"curve": [row(40, math.nan)]}, {"milestones": [milestone(2, "fail")]}):
        seen = replace(WELL, **change)
        assert trouble(seen, age=59) is None
        assert trouble(seen, age=61) is not None
    lost = replace(WELL, beat=replace(BEAT, held_out_loss=math.nan))
    assert trouble(lost) is None and trouble(lost, age=61) == "not_finite"


@pytest.mark.parametrize("status", ["completed", "quality_failed", "aborted", "interrupted", "failed"])
def test_a_training_that_has_ended_has_no_problem(status: str) -> None:
    assert trouble(Snapshot(replace(BEAT, status=status), alive=False), age=10_000) is None


def test_the_limit_of_a_stall_is_a_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HLX_STALL_SECONDS", "10")
    assert limits() == Limits(stall_seconds=10)
    for wrong in ("soon", "0", "-1", "nan"):
        monkeypatch.setenv("HLX_STALL_SECONDS", wrong)
        with pytest.raises(ValueError, match=f"HLX_STALL_SECONDS is '{wrong}': it must be seconds"):
            limits()


# Recorded curves


@pytest.mark.parametrize("name", [name for name in recorded_curves() if name.startswith("healthy-")])
def test_no_alarm_on_any_recorded_healthy_curve(name: str) -> None:
    curve = recorded_curves()[name]
    assert len(curve) > 50 and simulate(curve) is None and simulate(curve, lost=False) is None


@pytest.mark.parametrize(
    ("name", "step", "epoch"), [("diverged", 2, 1), ("not_finite", 21, 4), ("collapsed", 12, 3), ("rising", 90, 15)]
)
def test_each_recorded_broken_curve_raises_an_alarm_at_its_step(name: str, step: int, epoch: int) -> None:
    spoken = simulate(recorded_curves()[name])
    assert spoken is not None and (spoken.problem.name, spoken.step, spoken.epoch) == (name, step, epoch)


@pytest.mark.parametrize("phase", [1, 2, 3])
def test_no_alarm_on_the_curves_of_a_curriculum(curriculum: Curriculum, phase: int) -> None:
    assert simulate(read_curve(curriculum.phases[phase].checkpoint.parents[1])) is None


# What is seen of a training's directory


def at_work(curriculum: Curriculum, tmp_path: Path, **beat: Any) -> Path:
    """Return a copy of phase 1's training whose heartbeat says that it is running."""
    directory = Path(shutil.copytree(curriculum.phases[1].checkpoint.parents[1], tmp_path / "training"))
    before = beat_in(directory)
    fresh = Heartbeat("0" * 16, 1, "tiny", 40)
    replace(before, **{"status": "training", "pid": fresh.pid, "process": fresh.process, **beat}).write(directory)
    return directory


def test_a_snapshot_has_curve_milestones_checkpoint_process_and_disk(curriculum: Curriculum, tmp_path: Path) -> None:
    seen = take_snapshot(at_work(curriculum, tmp_path), print)
    assert seen.alive
    assert [m.epoch for m in seen.milestones][:2] == [1, 5] and len(seen.curve) > 10
    assert [gate.outcome for gate in seen.checkpoint] == ["pass", "pass"]
    assert seen.disk_free and seen.next_checkpoint and seen.next_checkpoint > 1_000_000
    assert check(seen, 0.0) is None


def test_a_checkpoint_of_another_size_is_seen(curriculum: Curriculum, tmp_path: Path) -> None:
    seen = take_snapshot(at_work(curriculum, tmp_path, size="10m"), print)
    found = check(seen, 0.0)
    assert found is not None and found.name == "wrong_size" and "(10m)" in found.reason


def test_another_process_of_the_same_number_is_not_the_trainer(curriculum: Curriculum, tmp_path: Path) -> None:
    mine = process_identity()
    assert mine is not None
    seen = take_snapshot(at_work(curriculum, tmp_path, process=f"{mine.rpartition(':')[0]}:1"), print)
    assert not seen.alive


def test_a_trainer_on_another_machine_counts_as_alive(curriculum: Curriculum, tmp_path: Path) -> None:
    assert take_snapshot(at_work(curriculum, tmp_path, process="another boot:1"), print).alive


def test_what_is_not_a_training_is_ignored(curriculum: Curriculum, tmp_path: Path) -> None:
    at_work(curriculum, tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "spoilt").mkdir()
    (tmp_path / "spoilt" / "heartbeat.json").write_text("{")
    (tmp_path / "training" / "metrics.parquet").write_bytes(b"no Parquet")
    (found,), unreadable = scan(tmp_path)
    assert found.directory.name == "training" and found.snapshot.curve == []
    assert len(unreadable) == 2 and "spoilt" in unreadable[0] and "metrics.parquet" in unreadable[1]
    assert scan(tmp_path / "absent") == ([], [])


@pytest.mark.parametrize(
    ("losses", "reason"),
    [
        (pa.array(["low"]), "a value is not a number"),
        (pa.array([None], pa.float64()), "train_loss must have a value in every row"),
        (pa.array([], pa.float64()), "not a curve: it has no rows"),
    ],
)
def test_a_file_that_is_not_a_curve_is_refused(tmp_path: Path, losses: pa.Array, reason: str) -> None:
    figures = {name: pa.array([1] * len(losses)) for name in METRICS_SCHEMA.names} | {"train_loss": losses}
    path = tmp_path / METRICS
    pq.write_table(pa.table(figures), path)
    with pytest.raises(ValueError, match=reason):
        read_curve(path)
