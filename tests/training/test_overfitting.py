"""A training that learns its text by heart: it warns, and its best checkpoint may be passed on."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from hlx_model.checkpoints.manifest import CheckpointError
from hlx_model.checkpoints.progress import read_state
from hlx_model.checkpoints.seal import verify_checkpoint
from hlx_model.files import read_json
from hlx_model.layout import PASSED_ON
from hlx_model.runs.metrics import read_metrics
from hlx_model.runs.passing import parse_pass_on, passed_on
from hlx_model.training import saver
from hlx_model.training.events import CheckpointSaved, Event, Recorded, Warned, message
from hlx_model.training.loop import train
from hlx_model.training.plan import Overrides, TrainingPlan, plan_training
from tests.support.curriculum import CPU, QUICK, Curriculum
from tests.support.damage import flip

EPOCHS = 12


def overfitting(document: Path, root: Path, epochs: int = EPOCHS) -> TrainingPlan:
    """Plan a training on four sentences, a step each epoch: they are soon known by heart, and nothing else."""
    settings = Overrides(epochs=epochs, batch_size=1, learning_rate=6e-3)
    plan = plan_training(1, QUICK, settings, corpus=[document], training=root / "training")
    return replace(plan, train=plan.train[:4])


@pytest.fixture(scope="module")
def trained(small_document: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[TrainingPlan, list[Event]]:
    """The plan of such a training, which has ended, and its events."""
    plan, events = overfitting(small_document, tmp_path_factory.mktemp("overfitted")), list[Event]()
    train(plan, execution=CPU, emit=events.append)
    return plan, events


@pytest.fixture
def ended(trained: tuple[TrainingPlan, list[Event]], tmp_path: Path) -> TrainingPlan:
    """The plan of a copy of it."""
    plan = replace(trained[0], directory=tmp_path / "training" / trained[0].id)
    shutil.copytree(trained[0].directory, plan.directory)
    return plan


def held_out_losses(plan: TrainingPlan) -> list[float]:
    """Return the validation losses at the ends of the epochs."""
    return [row["held_out_loss"] for row in read_metrics(plan.directory) if row["held_out_loss"] is not None]


def best_epoch(plan: TrainingPlan) -> int:
    losses = held_out_losses(plan)
    return losses.index(min(losses)) + 1


def warnings(events: list[Event]) -> list[str]:
    """Return the warnings on losses: that nothing watches is another one."""
    return [event.text for event in events if isinstance(event, Warned) and "validation loss" in event.text]


def test_a_rising_held_out_loss_is_a_warning_once_when_it_happens(trained: tuple[TrainingPlan, list[Event]]) -> None:
    plan, events = trained
    losses, best = held_out_losses(plan), best_epoch(plan)
    at = next(n for n, loss in enumerate(losses, 1) if n > best and loss >= losses[best - 1] + 0.5)
    assert 1 < best < at < EPOCHS - 1, "the next epochs are above the limit too"
    (text,) = warnings(events)
    assert text == (
        f"validation loss {losses[at - 1]:.2f} at epoch {at} is 0.5 nats or more above its best, "
        f"{losses[best - 1]:.2f} at epoch {best}: the model learns its text by heart: add entries, or pass "
        "on the best checkpoint (`pass_on: best`)"
    )
    before = [e.row for e in events[: events.index(Warned(text))] if isinstance(e, Recorded)]
    assert before[-1]["epoch"] == at
    assert message(Warned(text)) == {"event": "warning", "text": text}
    final = plan.directory / "checkpoints" / f"phase1_FINAL_epoch{EPOCHS}"
    assert verify_checkpoint(final).manifest.stopped is None
    assert read_state(final).aborts.warned == ("overfitting",)


@pytest.mark.parametrize(("cut", "again"), [(6, 1), (10, 0)], ids=["before it", "after it"])
def test_a_resumed_training_warns_only_if_it_had_not(
    small_document: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cut: int, again: int
) -> None:
    monkeypatch.setenv("HLX_SAVE_SECONDS", "0")
    monkeypatch.setattr(saver, "SAVE_SHARE", 1e9)
    plan, events, resumed = overfitting(small_document, tmp_path), list[Event](), list[Event]()

    def emit(event: Event) -> None:
        events.append(event)
        if isinstance(event, Recorded) and event.row["step"] >= cut and event.row["held_out_loss"] is None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(plan, execution=CPU, emit=emit)
    train(plan, execution=CPU, emit=resumed.append)
    assert (len(warnings(events)), len(warnings(resumed))) == (1 - again, again)


def test_the_best_checkpoint_is_passed_on_without_training(ended: TrainingPlan) -> None:
    events = list[Event]()
    before = sorted(path.name for path in (ended.directory / "checkpoints").iterdir())
    result = train(ended, execution=CPU, pass_on="best", emit=events.append)
    name = f"phase1_BEST_epoch{best_epoch(ended)}"
    assert (result.checkpoint.name, result.manifest.kind, result.found, events) == (name, "BEST", True, [])
    assert passed_on(ended.directory) == result.checkpoint
    assert read_json(ended.directory / PASSED_ON) == {"checkpoint": name, "pass_on": "best"}
    again = train(ended, execution=CPU)
    assert again.checkpoint.name == f"phase1_FINAL_epoch{EPOCHS}" and passed_on(ended.directory) is None
    assert sorted(path.name for path in (ended.directory / "checkpoints").iterdir()) == before


def test_a_training_passes_on_its_best_checkpoint_when_it_completes(small_document: Path, tmp_path: Path) -> None:
    plan = overfitting(small_document, tmp_path, epochs=8)
    result = train(plan, execution=CPU, pass_on="best")
    assert not result.found and result.manifest.epoch == best_epoch(plan) < 8
    assert result.checkpoint.name == f"phase1_BEST_epoch{best_epoch(plan)}"


def test_the_final_one_is_passed_on_if_the_last_epoch_is_the_best(small_document: Path, tmp_path: Path) -> None:
    plan = overfitting(small_document, tmp_path, epochs=2)
    result = train(plan, execution=CPU, pass_on="best")
    assert best_epoch(plan) == 2 and result.checkpoint.name == "phase1_FINAL_epoch2"
    assert passed_on(plan.directory) is None


def test_a_stopped_training_passes_on_its_stopped_checkpoint(small_document: Path, tmp_path: Path) -> None:
    settings = Overrides(epochs=5, batch_size=1, learning_rate=10.0)
    plan = plan_training(1, QUICK, settings, corpus=[small_document], training=tmp_path / "training")
    for found in (False, True):
        result = train(plan, execution=CPU, pass_on="best")
        assert (result.manifest.kind, result.found) == ("STOPPED", found)


def _damaged(best: Path) -> None:
    flip(best / "model.safetensors", -1)


@pytest.mark.parametrize(
    ("spoil", "said"), [(shutil.rmtree, "no such checkpoint"), (_damaged, "its SHA-256 is not the recorded one")]
)
def test_a_best_checkpoint_that_cannot_be_used_is_one_line(
    ended: TrainingPlan, spoil: Callable[[Path], None], said: str
) -> None:
    best = ended.directory / "checkpoints" / f"phase1_BEST_epoch{best_epoch(ended)}"
    spoil(best)
    with pytest.raises(CheckpointError) as caught:
        train(ended, execution=CPU, pass_on="best")
    line = str(caught.value)
    assert best.name in line and said in line and "\n" not in line
    assert line.endswith(f"`pass_on: final` passes on phase1_FINAL_epoch{EPOCHS}")
    assert passed_on(ended.directory) is None and train(ended, execution=CPU).found


def test_training_again_keeps_the_best_checkpoint_that_was_passed_on(ended: TrainingPlan) -> None:
    """Another phase may have started from it, before the FINAL one was damaged."""
    best = train(ended, execution=CPU, pass_on="best").checkpoint
    written = (best / "manifest.json").stat().st_mtime_ns
    _damaged(ended.directory / "checkpoints" / f"phase1_FINAL_epoch{EPOCHS}")
    others = set[bool]()

    def emit(event: Event) -> None:
        if isinstance(event, CheckpointSaved) and event.checkpoint == "phase1_BEST_epoch2":
            others.add((best / "manifest.json").exists())

    assert not train(ended, execution=CPU, pass_on="best", emit=emit).found
    assert others == {True} and (best / "manifest.json").stat().st_mtime_ns == written


def test_a_damaged_record_of_what_is_passed_on_counts_as_none(
    ended: TrainingPlan, caplog: pytest.LogCaptureFixture
) -> None:
    for content in ("{", "[]", '{"checkpoint": "../../elsewhere", "pass_on": "best"}', '{"checkpoint": "gone"}'):
        (ended.directory / PASSED_ON).write_text(content)
        assert passed_on(ended.directory) is None
    assert PASSED_ON in caplog.text


def test_what_is_passed_on_is_final_or_best() -> None:
    assert [parse_pass_on(text) for text in ("final", "best")] == ["final", "best"]
    with pytest.raises(ValueError, match=r"^pass_on is 'last': choose one of final, best$"):
        parse_pass_on("last")


def test_a_parent_records_whether_its_training_passed_it_on_as_the_best(curriculum: Curriculum, tmp_path: Path) -> None:
    root = Path(shutil.copytree(curriculum.root, tmp_path / "artifacts"))
    one = replace(curriculum.phases[1].plan, directory=root / "training" / curriculum.phases[1].plan.id)
    final, best = (train(one, execution=CPU, pass_on=choice) for choice in ("final", "best"))
    found = [
        plan_training(
            2, QUICK, Overrides(epochs=1), corpus=[curriculum.document], training=root / "training",
            parent=verify_checkpoint(result.checkpoint), ungated=True,
        ).parent_record
        for result in (final, best)
    ]  # fmt: skip
    assert [record and (record.name, record.pass_on) for record in found] == [
        (final.checkpoint.name, None), (best.checkpoint.name, "best"),
    ]  # fmt: skip
    assert best.manifest.kind == "BEST"
