"""Trainings from the first step to the last: real ones, of the tiny model."""

import json
import logging
import math
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hlx_model.checkpoints import weights as checkpoints
from hlx_model.checkpoints.manifest import checkpoint_number, read_manifest
from hlx_model.checkpoints.progress import read_state
from hlx_model.checkpoints.seal import verify_checkpoint
from hlx_model.corpus import store
from hlx_model.files import read_json, sha256_of
from hlx_model.layout import Artifacts
from hlx_model.runs.metrics import read_metrics
from hlx_model.training import engine, saver
from hlx_model.training.events import CheckpointSaved, Event, MilestoneJudged, Recorded, message
from hlx_model.training.loop import train
from hlx_model.training.plan import Overrides, TrainingPlan, plan_training
from tests.support.broken_trainings import unshifted
from tests.support.curriculum import CPU, QUICK, Curriculum
from tests.support.processes import beat_in


def inputs_of(
    document: Path, training: Path, resume_from: Path | None = None, phase: int = 1, **o: Any
) -> TrainingPlan:
    overrides = Overrides(**{"epochs": 2, "batch_size": 1, "learning_rate": 1e-3, **o})
    return plan_training(
        phase, QUICK, overrides, corpus=[document], training=training,
        parent=verify_checkpoint(resume_from) if resume_from else None,
    )  # fmt: skip


def ends_of(directory: Path) -> list[dict[str, Any]]:
    """Return the records at the ends of epochs."""
    return [dict(row) for row in read_metrics(directory) if row["held_out_loss"] is not None]


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in (directory / "checkpoints").iterdir())


def test_a_training_leaves_final_best_and_milestone_checkpoints(curriculum: Curriculum) -> None:
    one = curriculum.phases[1]
    left = names(one.plan.directory)
    assert one.checkpoint.name == "phase1_FINAL_epoch30"
    assert {name for name in left if "BEST" not in name} == {
        "phase1_FINAL_epoch30", "phase1_epoch1", "phase1_epoch5", "phase1_epoch10", "phase1_epoch20",
    }  # fmt: skip
    assert sum("BEST" in name for name in left) == 1
    for name in left:
        manifest = verify_checkpoint(one.plan.directory / "checkpoints" / name).manifest
        assert ("optimizer.safetensors" in manifest.files) == (manifest.kind == "FINAL")


def test_the_manifest_says_what_it_was_made_from(curriculum: Curriculum) -> None:
    one, two = curriculum.phases[1], curriculum.phases[2]
    first, second = read_manifest(one.checkpoint), read_manifest(two.checkpoint)
    assert (first.kind, first.phase, first.epoch, first.epochs, first.stopped) == ("FINAL", 1, 30, 30, None)
    assert (first.size, first.parameters) == ("tiny", 492_149)
    assert first.training_id == one.plan.id
    assert first.settings == one.plan.settings.to_json()
    assert first.parent is None and first.run_id == "the run"
    assert second.parent is not None
    assert vars(second.parent) == {
        "training_id": one.plan.id, "name": "phase1_FINAL_epoch30", "phase": 1, "epoch": 30,
        "weights_sha256": first.weights_sha256, "verdict": one.evaluation.verdict.parent_verdict, "pass_on": None,
    }  # fmt: skip
    (source,) = first.corpora["english_corpus"].documents
    document = curriculum.document
    assert source.to_json() == {
        "name": document.name, "sha256": sha256_of(document), "bytes": document.stat().st_size, "source": str(document),
    }  # fmt: skip
    assert second.corpora["english_corpus"] == first.corpora["english_corpus"]
    assert {version.examples for version in second.corpora.values()} == {first.corpora["english_corpus"].examples}
    assert first.device == "cpu" and first.versions.keys() >= {"hlx", "python", "torch", "safetensors"}
    assert first.code.keys() == {"version", "commit", "dirty"}
    assert first.milestones["1"] in ("pass", "warn") and first.milestones.keys() >= {"1", "5", "10", "20", "30"}
    assert first.started <= first.created
    for manifest in (first, second):
        for asset, version in manifest.corpora.items():
            directory = curriculum.root / version.path
            assert directory == Artifacts(curriculum.training).corpus(asset, version.data_version)
            assert store.load(directory).num_rows > 0
    assert set(second.corpora) == {"english_corpus", "hlx_corpus"}


def test_gates_are_evaluated_every_so_many_epochs_beside_the_milestones(small_document: Path, tmp_path: Path) -> None:
    plans = [
        plan_training(1, QUICK, Overrides(epochs=7), corpus=[small_document], training=tmp_path / name / "training")
        for name in ("milestones", "every third")
    ]
    for plan, execution in zip(plans, (CPU, replace(CPU, gate_every=3)), strict=True):
        train(plan, execution=execution)
    epochs = [[m["epoch"] for m in read_json(plan.directory / "milestones.json")] for plan in plans]
    assert epochs == [[1, 5, 7], [1, 3, 5, 6, 7]]
    assert plans[0].id == plans[1].id
    one, other = (plan.directory / "checkpoints/phase1_FINAL_epoch7/model.safetensors" for plan in plans)
    assert one.read_bytes() == other.read_bytes()


def test_metrics_are_recorded_during_training(curriculum: Curriculum) -> None:
    one = curriculum.phases[1]
    rows = read_metrics(one.plan.directory)
    ends = ends_of(one.plan.directory)
    assert [row["epoch"] for row in ends] == list(range(1, 31))
    assert [row["step"] for row in rows] == sorted(row["step"] for row in rows)
    assert ends[-1]["step"] == one.outcome.manifest.step
    assert ends[-1]["held_out_loss"] < 1 < ends[0]["held_out_loss"]
    assert all((row["tokens_per_second"] or 0) > 0 for row in rows if row["held_out_loss"] is None)
    assert max(row["learning_rate"] for row in rows) <= one.plan.settings.learning_rate


def test_the_best_checkpoint_is_of_the_epoch_with_the_lowest_held_out_loss(curriculum: Curriculum) -> None:
    directory = curriculum.phases[1].plan.directory
    (best,) = (directory / "checkpoints").glob("phase1_BEST_*")
    ends = ends_of(directory)
    assert read_manifest(best).epoch == min(ends, key=lambda row: row["held_out_loss"])["epoch"]


def test_the_heartbeat_ends_as_completed(curriculum: Curriculum) -> None:
    one = curriculum.phases[1]
    beat = beat_in(one.plan.directory)
    assert (beat.status, beat.reason, beat.epoch, beat.epochs) == ("completed", None, 30, 30)
    assert (beat.step, beat.phase, beat.size, beat.run_id) == (one.outcome.manifest.step, 1, "tiny", "the run")


def test_the_gates_of_every_milestone_are_kept(curriculum: Curriculum) -> None:
    one = curriculum.phases[1]
    kept = read_json(one.plan.directory / "milestones.json")
    assert [(m["epoch"], m["outcome"]) for m in kept] == [(epoch, "pass") for epoch in (1, 5, 10, 20, 30)]
    names = ["parameter_count", "file_size", "next_token_loss", "copy_rate", "reported_loss"]
    assert [gate["name"] for gate in kept[0]["gates"]] == names
    assert [gate["name"] for gate in kept[2]["gates"]][-1] == "unigram"
    assert [m.to_json() for m in read_state(one.checkpoint).milestones] == kept


def test_a_training_that_has_ended_is_found_and_not_repeated(curriculum: Curriculum) -> None:
    one = curriculum.phases[1]
    before = {path: path.stat().st_mtime_ns for path in one.plan.directory.rglob("*") if path.name != "lock"}
    events: list[Event] = []
    again = train(one.plan, execution=CPU, emit=events.append)
    assert again.found and not one.outcome.found
    assert (again.checkpoint, again.manifest) == (one.checkpoint, one.outcome.manifest)
    assert events == []
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_a_sink_receives_the_events_of_a_training(small_document: Path, tmp_path: Path) -> None:
    told: list[Event] = []
    plan = inputs_of(small_document, tmp_path / "training", epochs=1)
    train(plan, execution=CPU, emit=told.append)
    assert {type(event) for event in told} == {Recorded, MilestoneJudged, CheckpointSaved}
    assert [event.checkpoint for event in told if isinstance(event, CheckpointSaved)] == [
        "phase1_BEST_epoch1", "phase1_FINAL_epoch1",
    ]  # fmt: skip
    messages = [message(event) for event in told]
    assert {content["event"] for content in messages} == {"progress", "milestone", "checkpoint"}
    assert json.loads(json.dumps(messages)) == messages


def test_the_same_training_in_another_folder_gives_the_same_bytes(small_document: Path, tmp_path: Path) -> None:
    first, second = (train(inputs_of(small_document, tmp_path / place / "training"), execution=CPU) for place in "ab")
    assert first.manifest.weights_sha256 == second.manifest.weights_sha256
    assert not second.found


def test_a_damaged_final_checkpoint_is_made_again(
    small_document: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    plan = inputs_of(small_document, tmp_path / "training", epochs=1)
    outcome = train(plan, execution=CPU)
    weights = outcome.checkpoint / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    again = train(plan, execution=CPU)
    assert not again.found and weights.read_bytes() == whole
    assert f"{weights}: its SHA-256 is not the recorded one" in caplog.text


class PowerCut(Exception):
    """Ends a trainer before it can save anything."""


def cut_off(plan: TrainingPlan, step: int) -> None:
    """Train until a record of `step` steps, then fail."""

    def emit(event: Event) -> None:
        if isinstance(event, Recorded) and event.row["step"] >= step:
            raise PowerCut("cut")

    with pytest.raises(PowerCut):
        train(plan, execution=CPU, emit=emit)


def test_a_failed_training_resumes_to_the_same_bytes(
    small_document: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    whole = train(inputs_of(small_document, tmp_path / "whole" / "training", epochs=3), execution=CPU)
    plan = inputs_of(small_document, tmp_path / "cut" / "training", epochs=3)
    with monkeypatch.context() as saving_often:
        saving_often.setenv("HLX_SAVE_SECONDS", "0")
        saving_often.setattr(saver, "SAVE_SHARE", 1e9)
        cut_off(plan, step=5)
    beat = beat_in(plan.directory)
    assert (beat.status, beat.reason) == ("failed", "PowerCut: cut")
    _, last = sorted((plan.directory / "checkpoints").glob("*_LAST_*"), key=checkpoint_number)
    half_written = plan.directory / "checkpoints" / ".phase1_LAST_step99.abc"
    half_written.mkdir()
    outcome = train(plan, execution=CPU)
    assert f"resuming from {last.name}" in caplog.text
    assert outcome.manifest.weights_sha256 == whole.manifest.weights_sha256
    assert not last.exists() and not half_written.exists()

    assert ends_of(plan.directory) == ends_of(whole.checkpoint.parents[1])
    assert len(ends_of(plan.directory)) == 3


def test_phase_2_starts_at_epoch_1(curriculum: Curriculum) -> None:
    two = curriculum.phases[2]
    ends = ends_of(two.plan.directory)
    assert [row["epoch"] for row in ends] == list(range(1, 31))
    assert [m["epoch"] for m in read_json(two.plan.directory / "milestones.json")] == [1, 5, 10, 20, 30]
    assert two.outcome.manifest.weights_sha256 != curriculum.phases[1].outcome.manifest.weights_sha256


def test_the_weights_of_the_parent_are_loaded(curriculum: Curriculum, tmp_path: Path) -> None:
    """One step at a tiny learning rate hardly changes them."""
    training = Path(shutil.copytree(curriculum.root, tmp_path / "artifacts")) / "training"
    parent = training / curriculum.phases[1].checkpoint.relative_to(curriculum.training)
    plan = inputs_of(
        curriculum.document, training, parent, phase=2, epochs=1, learning_rate=1e-12, batch_size=8, replay=0.0
    )
    outcome = train(plan, execution=CPU)
    before, after = (
        checkpoints.load_model(verify_checkpoint(path)).state_dict() for path in (parent, outcome.checkpoint)
    )
    assert max(float((after[name] - before[name]).abs().max()) for name in before) < 1e-6


def test_the_same_phase_resumes_at_the_next_epoch_with_its_optimizer(small_document: Path, tmp_path: Path) -> None:
    first = train(inputs_of(small_document, tmp_path / "training", epochs=1), execution=CPU)
    plan = inputs_of(small_document, tmp_path / "training", first.checkpoint, epochs=3, learning_rate=5e-4)
    outcome = train(plan, execution=CPU)
    assert outcome.checkpoint.name == "phase1_FINAL_epoch3"
    assert outcome.checkpoint.parents[1] != first.checkpoint.parents[1]
    ends = ends_of(plan.directory)
    assert [row["epoch"] for row in ends] == [2, 3]
    assert outcome.manifest.parent is not None
    assert (outcome.manifest.parent.phase, outcome.manifest.parent.epoch) == (1, 1)
    resumed = (f"{first.manifest.training_id}/{first.checkpoint.name}",)
    assert (first.manifest.resumed, outcome.manifest.resumed) == ((), resumed)
    two = inputs_of(small_document, tmp_path / "training", outcome.checkpoint, phase=2, epochs=1)
    assert two.resumed == resumed  # in every later phase
    moments = checkpoints.load_optimizer(verify_checkpoint(outcome.checkpoint))
    assert moments is not None
    steps = {float(tensor) for name, tensor in moments.items() if name.endswith(".step")}
    assert steps == {first.manifest.step + outcome.manifest.step}


def test_a_diverging_training_is_stopped_and_its_checkpoint_kept(small_document: Path, tmp_path: Path) -> None:
    plan = inputs_of(small_document, tmp_path / "training", epochs=5, learning_rate=10.0)
    outcome = train(plan, execution=CPU)
    assert outcome.checkpoint.name.startswith("phase1_STOPPED_epoch")
    assert outcome.manifest.stopped is not None and "training loss diverged" in outcome.manifest.stopped
    beat = beat_in(plan.directory)
    assert (beat.status, beat.reason) == ("aborted", outcome.manifest.stopped)
    found = train(plan, execution=CPU)
    assert found.found and found.manifest == outcome.manifest  # a stop is final for its id


@pytest.mark.parametrize(
    ("batch_size", "reason"), [(1, "(step 2)"), (64, "validation loss nan, required finite (epoch 1)")]
)
def test_overflow_ends_in_a_stopped_checkpoint_of_finite_weights(
    small_document: Path, tmp_path: Path, batch_size: int, reason: str
) -> None:
    """If an epoch is a single batch, the validation loss is the first to overflow."""
    plan = inputs_of(small_document, tmp_path / "training", learning_rate=1e30, batch_size=batch_size)
    outcome = train(plan, execution=CPU)
    assert outcome.manifest.stopped is not None and reason in outcome.manifest.stopped
    assert outcome.manifest.stopped.endswith("use a lower learning rate")
    tensors = checkpoints.load_model(verify_checkpoint(outcome.checkpoint)).state_dict().values()
    assert all(bool(tensor.isfinite().all()) for tensor in tensors)


def test_a_failed_gate_stops_the_training_and_says_which(
    small_document: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With labels that are not shifted the training loss is excellent; the gates find it at epoch 1."""
    monkeypatch.setattr(engine, "next_token_losses", unshifted)
    plan = inputs_of(small_document, tmp_path / "training", epochs=30, learning_rate=3e-3)
    outcome = train(plan, execution=CPU)
    assert outcome.manifest.stopped is not None
    assert outcome.manifest.stopped.startswith("gate ") and outcome.manifest.epoch <= 10
    beat = beat_in(plan.directory)
    assert beat.status == "quality_failed"
    kept = read_json(plan.directory / "milestones.json")
    failed = {gate["name"] for gate in kept[-1]["gates"] if gate["outcome"] == "fail"}
    assert kept[-1]["outcome"] == "fail" and failed & {"next_token_loss", "copy_rate", "reported_loss"}
    assert beat.train_loss is not None and math.isfinite(beat.train_loss)
