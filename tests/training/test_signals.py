"""Signals end a training with a checkpoint to resume from; a second one ends it at once."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from hlx_model.checkpoints.seal import newest_resumable
from hlx_model.layout import CHECKPOINTS
from hlx_model.training import loop
from hlx_model.training.events import Event, MilestoneJudged
from hlx_model.training.loop import Interrupted, train
from hlx_model.training.plan import Overrides, TrainingPlan, plan_training
from tests.support.curriculum import CPU, QUICK
from tests.support.processes import beat_in


@pytest.fixture
def plan(small_document: Path, tmp_path: Path) -> TrainingPlan:
    """A plan of two epochs."""
    return plan_training(1, QUICK, Overrides(epochs=2), corpus=[small_document], training=tmp_path / "training")


def at_the_milestone(act: Callable[[], object]) -> Callable[[Event], None]:
    """Return a sink of events that acts after the first epoch."""

    def emit(event: Event) -> None:
        if isinstance(event, MilestoneJudged) and event.milestone.epoch == 1:
            act()

    return emit


@pytest.mark.parametrize("signum", loop.ENDING)
def test_a_signal_ends_a_training_with_a_checkpoint(
    plan: TrainingPlan, caplog: pytest.LogCaptureFixture, signum: signal.Signals
) -> None:
    outside = signal.signal(signum, signal.SIG_DFL)  # under nohup SIGHUP is ignored
    try:
        with pytest.raises(Interrupted, match=f"{signum.name} at step"):
            train(plan, execution=CPU, emit=at_the_milestone(lambda: os.kill(os.getpid(), signum)))
        assert signal.getsignal(signum) == signal.SIG_DFL
    finally:
        signal.signal(signum, outside)
    assert "with a checkpoint; a second signal ends it now" in caplog.text
    assert newest_resumable(plan.directory / CHECKPOINTS, plan.id) is not None
    assert beat_in(plan.directory).status == "interrupted"
    assert train(plan, execution=CPU).manifest.kind == "FINAL"


def test_under_nohup_a_closed_terminal_ends_nothing(plan: TrainingPlan) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        ended = train(plan, execution=CPU, emit=at_the_milestone(lambda: os.kill(os.getpid(), signal.SIGHUP)))
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
    assert ended.manifest.kind == "FINAL"


@pytest.mark.parametrize("same", [True, False])
def test_a_second_signal_ends_it_at_once_unless_it_is_the_first_again(
    plan: TrainingPlan, monkeypatch: pytest.MonkeyPatch, same: bool
) -> None:
    monkeypatch.setattr(loop, "SAME_SIGNAL", 60.0 if same else -1.0)
    after: list[str] = []

    def twice() -> None:
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGTERM)
        after.append("the evaluation continues")

    with pytest.raises(Interrupted, match="SIGTERM at step" if same else "a second signal, SIGTERM, at step"):
        train(plan, execution=CPU, emit=at_the_milestone(twice))
    assert bool(after) == same
    assert (newest_resumable(plan.directory / CHECKPOINTS, plan.id) is not None) == same
    assert train(plan, execution=CPU).manifest.kind == "FINAL"
