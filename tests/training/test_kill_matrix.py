"""A trainer killed at any moment resumes to the bytes of an undisturbed one: the short form of the benchmark.

`python -m benchmarks kill_matrix` kills at every kind of place, and at random moments.
"""

from pathlib import Path

import pytest

from tests.support.faults import Event, Task
from tests.support.kills import Undisturbed, killed_at, lost, places, undisturbed

OPTIONS = ("--epochs", "2", "--batch-size", "8")


@pytest.fixture(scope="module")
def whole(small_document: Path, tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    return undisturbed(Task(small_document, tmp_path_factory.mktemp("whole") / "training", OPTIONS))


@pytest.mark.parametrize(
    ("operation", "place"),
    [
        ("open", "metrics.parquet"),
        ("write", "heartbeat.json"),
        ("half", "milestones.json"),
        ("mkdir", "checkpoints/FINAL"),
        ("half", "checkpoints/LAST/optimizer.safetensors"),
        ("fsync", "checkpoints/LAST/model.safetensors"),
        ("rename", "checkpoints/FINAL"),
        ("remove", "checkpoints/LAST/manifest.json"),  # its last one: the training has ended
        ("rmdir", "checkpoints/BEST"),
    ],
)
def test_a_trainer_killed_at_any_event_is_resumed_to_the_same_files(
    small_document: Path, tmp_path: Path, whole: Undisturbed, operation: str, place: str
) -> None:
    at = whole.at(operation, place)
    trial = killed_at(Task(small_document, tmp_path / "training", OPTIONS), whole.events[at], at, whole.contents)
    assert (trial.kills, trial.equal, trial.left_over, trial.wrong) == (1, True, [], [])
    assert trial.resumed == (at <= whole.at("rename", "checkpoints/FINAL"))


def test_the_places_to_kill_at_cover_every_kind_of_event(whole: Undisturbed) -> None:
    every = {event.operation for event in whole.events}
    assert every == {"open", "write", "half", "fsync", "rename", "remove", "mkdir", "rmdir"}
    assert {whole.events[at] for at in places(whole.events, None)} == set(whole.events)
    sample = places(whole.events, 60)
    assert len(sample) == 60 and {whole.events[at].operation for at in sample} == every


def test_the_check_finds_a_lost_or_damaged_checkpoint(small_document: Path, tmp_path: Path, whole: Undisturbed) -> None:
    """Test the check itself."""
    task = Task(small_document, tmp_path / "training", OPTIONS)
    wanting = {name: digest for name, digest in whole.contents.items() if "BEST" not in name}
    at = whole.at("remove", "checkpoints/LAST/manifest.json")
    trial = killed_at(task, Event("remove", ""), at, {**wanting, "checkpoints/phase1_FINAL_epoch2/state.json": ""})
    assert not trial.well and not trial.equal
    assert {name.split("/")[1] for name in trial.left_over} == {"phase1_BEST_epoch2"}
    assert task.directory is not None
    state = task.directory / "checkpoints" / "phase1_FINAL_epoch2" / "state.json"
    state.write_text(state.read_text() + " ")
    wrong = lost(task.directory, ["phase1_epoch1", "phase1_epoch9", "phase1_LAST_step2"])
    assert len(wrong) == 3 and "does not verify" in wrong[0]
    assert wrong[1:] == [f"{name} had been saved and is lost" for name in ("phase1_epoch9", "phase1_LAST_step2")]
