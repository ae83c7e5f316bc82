"""The gates during training, at the epochs of the milestones and at the last."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from hlx_model.checkpoints.progress import Milestone, Progress
from hlx_model.evaluation.gates.milestones import (
    SAMPLE,
    checkpoint_gates,
    due,
    milestone_gates,
)
from hlx_model.evaluation.losses import baselines
from hlx_model.files import write_json
from hlx_model.layout import MILESTONE_RESULTS
from hlx_model.model.transformer import Transformer
from hlx_model.monitoring.aborts import Stop
from hlx_model.training.events import EventSink, MilestoneJudged
from hlx_model.training.plan import TrainingPlan, sample
from hlx_model.verdicts import worst

COUNTED = 4096
"""Training texts whose symbols are counted for the baseline."""


class MilestoneGates:
    """Judges a model at its milestones, keeps what was found, and says whether it must stop."""

    def __init__(
        self,
        plan: TrainingPlan,
        progress: Progress,
        held_out: Sequence[str],
        train_tokens: int,
        emit: EventSink,
    ) -> None:
        self._plan, self._progress, self._emit = plan, progress, emit
        self._train, self._held_out = sample(plan.train, SAMPLE, plan.settings.seed), held_out
        self._train_tokens = train_tokens

    def after_epoch(
        self, epoch: int, model: Transformer, saved: Path | None, train_loss: float, best_before: float | None
    ) -> Stop | None:
        """Judge the model where it is due, and the checkpoint that the epoch left.

        `train_loss` is the epoch's own, `best_before` the best held-out loss before it, in nats.
        """
        s = self._plan.settings
        if not due(epoch, s.epochs):
            return None
        gates = checkpoint_gates(saved, s.size) if saved else []
        gates += milestone_gates(
            model, self._train, self._held_out,
            epoch=epoch, epochs=s.epochs, step=self._progress.step, reported_loss=train_loss, best_loss=best_before,
            train_tokens=self._train_tokens, unigram=self._unigram, began=self._progress.initial_held_out_loss,
        )  # fmt: skip
        milestone = Milestone(epoch=epoch, outcome=worst(gates), gates=tuple(gates))
        self._progress.milestones.append(milestone)
        write_json(self._plan.directory / MILESTONE_RESULTS, [m.to_json() for m in self._progress.milestones])
        self._emit(MilestoneJudged(milestone))
        failed = [gate for gate in gates if gate.outcome == "fail"]
        if not failed:
            return None
        return Stop("quality_failed", f"gate {failed[0].name} failed at epoch {epoch}: {failed[0].reason}")

    @cached_property
    def _unigram(self) -> float:
        counted = sample(self._plan.train, COUNTED, self._plan.settings.seed)
        return baselines(counted, self._held_out).unigram
