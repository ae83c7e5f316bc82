"""A heartbeat is read back as it was written, or not at all."""

import json
import math
import os
import time
from dataclasses import fields
from pathlib import Path

import pytest

from hlx_model.checkpoints.progress import Progress
from hlx_model.layout import HEARTBEAT
from hlx_model.model.sizes import SIZES
from hlx_model.model.transformer import Transformer
from hlx_model.runs import heartbeat
from hlx_model.runs.heartbeat import Heartbeat
from hlx_model.runs.metrics import read_metrics
from hlx_model.training.events import ignore
from hlx_model.training.optimizers import Optimizers
from hlx_model.training.plan import Overrides, plan_training
from hlx_model.training.recorder import Recorder
from tests.support.calls import calls_of
from tests.support.curriculum import QUICK
from tests.support.processes import beat_in


def test_what_the_trainer_wrote_is_read_back(tmp_path: Path) -> None:
    beat = Heartbeat("0123", 2, "tiny", 10, status="training", epoch=3, step=7, steps=70, train_loss=2.25, run_id="r")
    before = beat.time
    beat.write(tmp_path)
    assert Heartbeat.read(tmp_path) == beat
    assert beat.time >= before and beat.running


def test_losses_that_are_not_finite_are_written_by_their_names(tmp_path: Path) -> None:
    Heartbeat("0123", 1, "tiny", 10, train_loss=math.nan, held_out_loss=math.inf, reason="inf").write(tmp_path)

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    content = json.loads((tmp_path / HEARTBEAT).read_text(), parse_constant=refuse)
    assert (content["train_loss"], content["held_out_loss"]) == ("nan", "inf")
    beat = beat_in(tmp_path)
    assert beat.train_loss is not None
    assert math.isnan(beat.train_loss) and beat.held_out_loss == math.inf


@pytest.mark.parametrize("status", ["completed", "quality_failed", "aborted", "interrupted", "failed"])
def test_a_training_that_has_ended_is_not_running(status: str) -> None:
    assert not Heartbeat("0123", 1, "tiny", 10, status=status).running


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b'{"phase": 1}', b"\xff\xfe"])
def test_a_record_that_cannot_be_read_is_none(tmp_path: Path, content: bytes) -> None:
    assert Heartbeat.read(tmp_path) is None
    (tmp_path / HEARTBEAT).write_bytes(content)
    assert Heartbeat.read(tmp_path) is None


@pytest.mark.parametrize(
    "change",
    [
        {"pid": "12"}, {"pid": 1.5}, {"pid": True}, {"pid": None}, {"process": 5}, {"time": "yesterday"},
        {"time": None}, {"pace": "x"}, {"run_id": 5}, {"step": [1]}, {"training_id": None},
        {"host": {}}, {"train_loss": "much"}, {"pace": 10**400},
    ],
    ids=str,
)  # fmt: skip
def test_a_record_with_a_value_of_another_type_is_none(tmp_path: Path, change: dict[str, object]) -> None:
    Heartbeat("0123", 1, "tiny", 10).write(tmp_path)
    content = json.loads((tmp_path / HEARTBEAT).read_text())
    (tmp_path / HEARTBEAT).write_text(json.dumps({**content, "time": 1}))
    assert Heartbeat.read(tmp_path) is not None
    (tmp_path / HEARTBEAT).write_text(json.dumps({**content, **change}))
    assert Heartbeat.read(tmp_path) is None


def test_fields_of_a_later_version_are_ignored(tmp_path: Path) -> None:
    Heartbeat("0123", 1, "tiny", 10).write(tmp_path)
    content = json.loads((tmp_path / HEARTBEAT).read_text())
    assert content.keys() == {field.name for field in fields(Heartbeat)}
    (tmp_path / HEARTBEAT).write_text(json.dumps({**content, "mood": "good"}))
    assert Heartbeat.read(tmp_path) is not None


def test_the_heartbeat_has_speed_and_pace_before_the_first_record(
    small_document: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_training(1, QUICK, Overrides(), corpus=[small_document], training=tmp_path)
    plan.directory.mkdir(parents=True)
    progress = Progress()
    optimizers = Optimizers(Transformer(SIZES["tiny"]), plan.settings, 1_000_000)
    recorder = Recorder(plan, progress, optimizers, ignore)
    later = time.monotonic() + 50
    monkeypatch.setattr("hlx_model.training.recorder.time.monotonic", lambda: later)
    monkeypatch.setattr("hlx_model.runs.heartbeat.time.time", lambda: 0.0)  # the clock is set back
    progress.count(loss=2.0, tokens=100)
    recorder.after_steps(1)
    beat = beat_in(plan.directory)
    assert (beat.step, beat.train_loss, beat.beats) == (1, 2.0, 1)
    assert 49 < beat.pace < 55
    assert beat.tokens_per_second and beat.tokens_per_second > 0
    assert beat.eta_seconds == pytest.approx(999_999 * 100 / beat.tokens_per_second)
    assert read_metrics(plan.directory) == []


def test_a_record_covers_one_epoch_only() -> None:
    progress = Progress()
    progress.count(loss=4.0, tokens=100)
    assert progress.end_epoch() == 4.0
    progress.count(loss=1.0, tokens=100)
    assert progress.window_loss / progress.window_tokens == 1.0


def test_a_heartbeat_is_closed_on_behalf_of_a_trainer_that_is_gone(tmp_path: Path) -> None:
    beat = Heartbeat("0123", 1, "tiny", 10, status="training")
    beat.write(tmp_path)
    wrote = beat.time
    beat.close(tmp_path, "it was killed")
    found = beat_in(tmp_path)
    assert (found.status, found.reason, found.time) == ("failed", "it was killed", wrote)


def files_read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The trainings whose heartbeats are read from now on."""
    return calls_of(monkeypatch, heartbeat, "read_json", lambda path: str(path.parent.name))


def write_long_ago(directory: Path, beat: Heartbeat) -> None:
    directory.mkdir(exist_ok=True)
    beat.write(directory)
    os.utime(directory / HEARTBEAT, (1e9, 1e9))


def test_the_heartbeat_of_an_ended_training_is_read_again_only_if_it_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_long_ago(tmp_path / "ended", Heartbeat("0123", 1, "tiny", 10, status="completed"))
    write_long_ago(tmp_path / "running", Heartbeat("4567", 1, "tiny", 10, status="training"))
    read = files_read(monkeypatch)
    for _ in range(3):
        assert {beat.training_id for beat in heartbeat.heartbeats(tmp_path)} == {"0123", "4567"}
    assert sorted(read) == ["ended", "running", "running", "running"]
    write_long_ago(tmp_path / "ended", Heartbeat("0123", 1, "tiny", 10, status="aborted"))
    assert [beat_in(tmp_path / "ended").status for _ in range(2)] == ["aborted", "aborted"]
    assert read.count("ended") == 2


def test_a_heartbeat_that_was_just_written_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twice in one tick of the file system's clock it has the same time."""
    read = files_read(monkeypatch)
    Heartbeat("0123", 1, "tiny", 10, status="completed").write(tmp_path)
    for _ in range(2):
        assert beat_in(tmp_path).status == "completed"
    assert len(read) == 2


def test_a_folder_without_trainings_has_no_heartbeats(tmp_path: Path) -> None:
    (tmp_path / ".hidden").mkdir()
    (tmp_path / "a file").touch()
    Heartbeat("0123", 1, "tiny", 10).write(tmp_path / ".hidden")
    assert list(heartbeat.heartbeats(tmp_path)) == list(heartbeat.heartbeats(tmp_path / "missing")) == []
