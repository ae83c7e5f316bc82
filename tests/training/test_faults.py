"""Faults around a trainer: a disk that is full or read-only, checkpoints that are damaged or of another training.

Real trainers in processes of their own, each saving after every step; the disk's refusals are injected.
"""

import errno
import shutil
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from hlx_model.checkpoints.seal import list_checkpoints, verify_checkpoint
from hlx_model.layout import MANIFEST
from tests.support.damage import flip, truncate
from tests.support.documents import small_text
from tests.support.faults import Fault, Task, Trainer, trained
from tests.support.kills import Undisturbed, contents, lost, undisturbed
from tests.support.processes import beat_in

OPTIONS = ("--epochs", "2", "--batch-size", "8")
ENDS = ("mkdir", "checkpoints/FINAL")
"""Before it the LAST of each step exists, the newer and the older."""
REMOVES_LAST = ("remove", "checkpoints/LAST/manifest.json")
"""Before the last of them FINAL exists."""


def task_in(folder: Path, document: Path, *options: str) -> Task:
    return Task(document, folder / "training", (*OPTIONS, *options))


def directory_of(task: Task) -> Path:
    assert task.directory is not None
    return task.directory


@pytest.fixture(scope="module")
def whole(small_document: Path, tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    return undisturbed(task_in(tmp_path_factory.mktemp("whole"), small_document))


@pytest.fixture(scope="module")
def two_lasts(small_document: Path, whole: Undisturbed, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a training that was killed after it had saved steps 1 and 2; copy it to change it."""
    folder = tmp_path_factory.mktemp("two")
    task = task_in(folder, small_document)
    assert trained(task, Fault(whole.at(*ENDS))).code == -signal.SIGKILL
    names = [path.name for path in list_checkpoints(directory_of(task) / "checkpoints")]
    assert {"phase1_LAST_step1", "phase1_LAST_step2"} <= set(names)
    return folder


def test_a_spoilt_checkpoint_of_a_higher_step_takes_no_good_ones_place(
    small_document: Path, two_lasts: Path, tmp_path: Path
) -> None:
    def spoilt(name: str) -> Task:
        task = task_in(Path(shutil.copytree(two_lasts, tmp_path / name)), small_document)
        parent = directory_of(task) / "checkpoints"
        (parent / "phase1_LAST_step2").rename(parent / "phase1_LAST_step999")
        flip(parent / "phase1_LAST_step999" / "model.safetensors")
        return task

    resumed = undisturbed(spoilt("undisturbed"))
    # Killed again, after it has saved step 2 anew.
    task = spoilt("killed")
    assert trained(task, Fault(resumed.at(*ENDS))).code == -signal.SIGKILL
    found = [path.name for path in list_checkpoints(directory_of(task) / "checkpoints")]
    assert {name for name in found if "_LAST_" in name} == {"phase1_LAST_step1", "phase1_LAST_step2"}


@pytest.fixture
def killed(small_document: Path, two_lasts: Path, tmp_path: Path) -> Task:
    """A training to be resumed, with LAST checkpoints of steps 1 and 2."""
    return task_in(Path(shutil.copytree(two_lasts, tmp_path / "artifacts")), small_document)


def refused(task: Task, whole: Undisturbed, operation: str, place: str, error: int, *, lasting: bool = True) -> str:
    """Return the error line of a training whose disk refuses an event; then resume it on a working disk."""
    # The last heartbeat of all is that of a training which has ended.
    at = whole.at(operation, place, occurrence=-2 if place == "heartbeat.json" else -1)
    ended = trained(task, Fault(at, error=error, lasting=lasting))
    assert ended.code == 1
    assert ended.error.startswith("error: ") and "\n" not in ended.error
    parent = directory_of(task) / "checkpoints"
    assert lost(directory_of(task), ended.saved) == []
    bear_the_name = {path for path in parent.glob("phase*") if (path / MANIFEST).exists()}
    assert set(list_checkpoints(parent)) == bear_the_name
    beat = beat_in(directory_of(task))
    assert lasting or (beat.status == "failed" and beat.reason)
    again = trained(task)
    assert (again.code, again.error) == (0, "")
    assert contents(directory_of(task)) == whole.contents
    assert str(directory_of(task)) in ended.error
    return ended.error


@pytest.mark.parametrize(
    ("operation", "place", "lasting"),
    [
        ("half", "checkpoints/LAST/model.safetensors", False),
        ("half", "checkpoints/LAST/state.json", True),
        ("fsync", "checkpoints/BEST", False),
        ("half", "checkpoints/FINAL/optimizer.safetensors", True),
        ("half", "checkpoints/FINAL/state.json", False),
        ("mkdir", "checkpoints/FINAL", True),
        ("half", "heartbeat.json", False),
        ("open", "metrics.parquet", True),
    ],
)
def test_a_full_disk_is_one_line_and_the_same_command_resumes(
    small_document: Path, tmp_path: Path, whole: Undisturbed, operation: str, place: str, lasting: bool
) -> None:
    said = refused(task_in(tmp_path, small_document), whole, operation, place, errno.ENOSPC, lasting=lasting)
    assert "No space left on device" in said


@pytest.mark.parametrize(
    ("place", "error", "reason"),
    [
        ("checkpoints/LAST", errno.EROFS, "Read-only file system"),
        ("checkpoints/FINAL", errno.EACCES, "Permission denied"),
    ],
)
def test_a_directory_that_becomes_read_only_is_named_in_one_line(
    small_document: Path, tmp_path: Path, whole: Undisturbed, place: str, error: int, reason: str
) -> None:
    assert reason in refused(task_in(tmp_path, small_document), whole, "mkdir", place, error)


def test_a_read_only_folder_is_named_and_nothing_is_written(small_document: Path, tmp_path: Path) -> None:
    ended = trained(task_in(tmp_path / "artifacts", small_document), Fault(0, error=errno.EROFS))
    assert ended.code == 1
    assert ended.error.startswith("error: ") and "Read-only file system" in ended.error
    assert str(tmp_path / "artifacts") in ended.error
    assert list((tmp_path / "artifacts").iterdir()) == []


@pytest.mark.parametrize("spoil", [truncate, flip])
@pytest.mark.parametrize("name", ["model.safetensors", "optimizer.safetensors", "state.json", "manifest.json"])
def test_a_damaged_checkpoint_is_skipped_for_an_older_one(
    killed: Task, whole: Undisturbed, name: str, spoil: Callable[[Path], None]
) -> None:
    newest = directory_of(killed) / "checkpoints" / "phase1_LAST_step2"
    spoil(newest / name)
    ended = trained(killed)
    assert (ended.code, ended.resumed_from) == (0, "phase1_LAST_step1")
    (warning,) = [line for line in ended.log if line.startswith("skipped: ")]
    assert str(newest / name) in warning
    assert contents(directory_of(killed)) == whole.contents


def test_if_every_checkpoint_is_damaged_the_training_starts_at_step_0(killed: Task, whole: Undisturbed) -> None:
    for last in (directory_of(killed) / "checkpoints").glob("*_LAST_*"):
        flip(last / "model.safetensors")
    ended = trained(killed)
    assert (ended.code, ended.resumed_from) == (0, None)
    assert contents(directory_of(killed)) == whole.contents


def test_checkpoints_of_another_training_are_ignored(
    small_document: Path, two_lasts: Path, tmp_path: Path, whole: Undisturbed
) -> None:
    other = task_in(tmp_path / "other", small_document, "--seed", "1")
    # Killed before its LAST is removed at its end.
    assert trained(other, Fault(whole.at(*REMOVES_LAST))).code == -signal.SIGKILL
    task = task_in(tmp_path / "this", small_document)
    shutil.copytree(two_lasts, tmp_path / "this")
    shutil.rmtree(directory_of(task) / "checkpoints" / "phase1_LAST_step2")
    for name in ("phase1_LAST_step2", "phase1_FINAL_epoch2"):
        path = directory_of(other) / "checkpoints" / name
        assert verify_checkpoint(path).manifest.step == 2
        shutil.copytree(path, directory_of(task) / "checkpoints" / name)
    ended = trained(task)
    assert (ended.code, ended.resumed_from) == (0, "phase1_LAST_step1")
    foreign = f"a checkpoint of training {directory_of(other).name}, not of {directory_of(task).name}"
    assert {line.split(": ")[-2].rpartition("/")[2] for line in ended.log if line.endswith(foreign)} == {
        "phase1_FINAL_epoch2", "phase1_LAST_step2",
    }  # fmt: skip
    assert contents(directory_of(task)) == whole.contents


def test_of_two_trainers_the_second_is_refused_until_the_first_is_killed(
    small_document: Path, tmp_path: Path, whole: Undisturbed
) -> None:
    task = task_in(tmp_path, small_document)
    first = Trainer(task, Fault(whole.at(*ENDS), signal=signal.SIGSTOP))
    first.wait_for_the_fault()
    second = trained(task)
    assert second.code == 1 and "runs this training: wait for it" in second.error
    assert second.saved == []
    first.kill()
    assert first.end().code == -signal.SIGKILL
    second = trained(task)
    assert (second.code, second.resumed_from) == (0, "phase1_LAST_step2")
    assert contents(directory_of(task)) == whole.contents


@pytest.mark.parametrize("changed", ["learning rate", "corpus"])
def test_a_changed_setting_or_corpus_is_another_training(killed: Task, tmp_path: Path, changed: str) -> None:
    first = directory_of(killed)
    before = {path: path.stat().st_mtime_ns for path in first.rglob("*")}
    other = replace(killed, options=(*OPTIONS, "--lr", "2e-3"))
    if changed == "corpus":
        document = tmp_path / "changed.md"
        document.write_text(small_text().partition("\n\n")[2], encoding="utf-8")
        other = replace(killed, document=document)
    ended = trained(other)
    assert (ended.code, ended.resumed_from) == (0, None)
    assert [line.split(":")[0] for line in ended.log] == ["phase 1, tiny", "cpu (no GPU"]  # the forecast alone
    assert len(list(killed.training.iterdir())) == 2
    assert {path: path.stat().st_mtime_ns for path in first.rglob("*")} == before


def test_stale_heartbeat_and_checkpoint_of_an_ended_training_are_fixed(
    small_document: Path, tmp_path: Path, whole: Undisturbed
) -> None:
    """Killed right after its FINAL checkpoint, the trainer recorded no end and kept its LAST one."""
    task = task_in(tmp_path, small_document)
    assert trained(task, Fault(whole.at(*REMOVES_LAST))).code == -signal.SIGKILL
    assert contents(directory_of(task))["heartbeat.json"] == "training"
    found = trained(task)
    assert (found.code, found.saved) == (0, [])  # nothing was trained
    assert contents(directory_of(task)) == whole.contents
