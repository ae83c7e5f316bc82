"""The gates during training, at the epochs of the milestones and at the last."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from hlx_model.checkpoints.progress import Progress
from hlx_model.evaluation.epoch import EpochMeasurements
from hlx_model.evaluation.losses import baselines, predict
from hlx_model.evaluation.milestones import SAMPLE, due, milestone_gates
from hlx_model.files import write_json
from hlx_model.layout import MILESTONE_RESULTS
from hlx_model.model.transformer import Transformer
from hlx_model.monitoring.aborts import Stop
from hlx_model.training.events import EventSink, MilestoneJudged
from hlx_model.training.plan import TrainingPlan, sample
from hlx_model.verdicts import Milestone, worst

COUNTED = 4096
"""Training texts whose symbols are counted for the unigram baseline."""


class MilestoneGates:
    """Evaluates a model at its milestones, records the results, and returns a stop if a gate failed."""

    def __init__(
        self, plan: TrainingPlan, progress: Progress, held_out: Sequence[str], train_tokens: int, emit: EventSink
    ) -> None:
        self._plan, self._progress, self._held_out, self._emit = plan, progress, held_out, emit
        self._train, self._train_tokens = sample(plan.train, SAMPLE, plan.settings.seed), train_tokens

    def after_epoch(
        self, epoch: int, model: Transformer, saved: Path | None, train_loss: float, best_before: float | None
    ) -> Stop | None:
        """Evaluate the model if the epoch is a milestone; return why the training must stop, or None.

        Args:
            epoch: the epoch that has ended.
            model: as it is at its end.
            saved: the checkpoint of the epoch, if one was saved.
            train_loss: the trainer's own mean loss of the epoch, in nats.
            best_before: the best held-out loss before it, in nats.
        """
        s = self._plan.settings
        if not due(epoch, s.epochs):
            return None
        held_out = predict(model, self._held_out[:SAMPLE])
        # In this order, so that a loss of NaN is the result.
        best = held_out.loss if best_before is None else min(held_out.loss, best_before)
        measured = EpochMeasurements(
            epoch, s.epochs, self._progress.step, held_out, predict(model, self._train),
            reported_loss=train_loss, best_loss=best, initial_loss=self._progress.initial_held_out_loss,
            unigram=self._unigram, train_tokens=self._train_tokens, size=s.size, checkpoint=saved,
        )  # fmt: skip
        gates = milestone_gates(measured)
        milestone = Milestone(epoch=epoch, outcome=worst(gates), gates=tuple(gates))
        self._progress.milestones.append(milestone)
        write_json(self._plan.directory / MILESTONE_RESULTS, [m.to_json() for m in self._progress.milestones])
        self._emit(MilestoneJudged(milestone))
        if not milestone.failed:
            return None
        gate = milestone.failed[0]
        return Stop("quality_failed", f"gate {gate.name} failed at epoch {epoch}: {gate.reason}")

    @cached_property
    def _unigram(self) -> float:
        counted = sample(self._plan.train, COUNTED, self._plan.settings.seed)
        return baselines(counted, self._held_out).unigram
