"""The training loop: step, watch, record, save; at an epoch's end evaluate, judge, save; until the end, or a stop.

`train` leaves a FINAL checkpoint, or a STOPPED one with its reason where a gate or an abort condition
ended it. A crash or a signal leaves a LAST one from which the next call goes on, to the same bytes on a
CPU: the order of the data follows from seed and epoch, and there is no other chance in a step.
"""

import logging
import signal
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path

from torch import Tensor

from hlx_model.checkpoints import weights
from hlx_model.checkpoints.manifest import read_state
from hlx_model.checkpoints.seal import list_checkpoints, newest_verified
from hlx_model.evaluation.losses import predict
from hlx_model.model.device import device_of, threads_for
from hlx_model.model.sizes import SIZES
from hlx_model.model.transformer import Transformer
from hlx_model.monitoring.aborts import Aborts, Stop
from hlx_model.runs.directory import (
    TrainingResult,
    ended_training,
    remove_temporaries,
    training_lock,
)
from hlx_model.training.batches import Batch, TrainingData
from hlx_model.training.distributed import Ranks
from hlx_model.training.engine import Engine
from hlx_model.training.execution import ExecutionConfig
from hlx_model.training.memory import out_of_memory
from hlx_model.training.milestones import MilestoneGates
from hlx_model.training.plan import TrainingPlan, sample
from hlx_model.training.progress import Progress
from hlx_model.training.recorder import EventSink, Recorder
from hlx_model.training.saver import Saver

log = logging.getLogger(__name__)

HELD_OUT_SAMPLE = 512


class Interrupted(Exception):
    """A signal ended the training; the LAST checkpoint holds where it stood."""


def train(
    plan: TrainingPlan,
    *,
    execution: ExecutionConfig | None = None,
    ranks: Ranks | None = None,
    run_id: str | None = None,
    emit: EventSink = lambda event, figures: None,
) -> TrainingResult:
    """Train, or go on with, or find, the training that `plan` determine.

    Raises:
        Busy: another process trains the same.
        Interrupted: SIGINT or SIGTERM came; the next call resumes.
        OutOfMemory: the device's memory does not hold it; the next call resumes.
    """
    execution = execution or ExecutionConfig(device_of())
    ranks = ranks or Ranks(execution.device)
    plan.directory.mkdir(parents=True, exist_ok=True)
    with training_lock(plan.directory) if ranks.is_rank_zero else nullcontext():
        ended = None
        if ranks.is_rank_zero:
            ended = ended_training(plan.directory, plan.id)
            if ended is None:
                remove_temporaries(plan.directory)
        if found := ranks.broadcast_object(str(ended) if ended else None):
            return TrainingResult.of(Path(found), found=True)
        return _Training(plan, execution, ranks, run_id, emit).run()


class _Training:
    """One training at work: model, data, and what watches over them."""

    def __init__(
        self, plan: TrainingPlan, execution: ExecutionConfig, ranks: Ranks, run_id: str | None, emit: EventSink
    ) -> None:
        self.plan, self.settings, self.ranks = plan, plan.settings, ranks
        s = plan.settings
        self.data = TrainingData(plan.train, plan.replay, s)
        self.held_out = sample(plan.held_out, HELD_OUT_SAMPLE, s.seed)
        self.progress = Progress(epoch=plan.first_epoch)
        self.aborts = Aborts(first_epoch=plan.first_epoch)
        self.model = Transformer(SIZES[s.size]).initialize(s.seed)
        moments = self._restore()
        self.model.to(ranks.device)
        steps = len(self.data.epoch(plan.first_epoch)) * (s.epochs - plan.first_epoch + 1)
        self.engine = Engine(self.model, s, steps, execution, ranks)
        if moments is not None:
            self.engine.optimizers.load_state_dict(moments)
            self.engine.load_state_dict(self.progress.scaler)
        self.gates = MilestoneGates(plan, self.progress, self.held_out, self.data.tokens, emit)
        self.recorder = Recorder(
            plan, self.progress, self.engine.optimizers.learning_rate, steps, run_id, emit
        )  # fmt: skip
        self.saver = Saver(plan, self.model, self.engine, self.aborts, self.progress, run_id, emit)
        self.signal: int | None = None

    def _restore(self) -> dict[str, Tensor] | None:
        """Take up the newest checkpoint of this training, or the parent's weights; the moments with them."""
        plan = self.plan
        kept = plan.directory / "checkpoints"
        found = newest_verified(kept, plan.id, with_optimizer=True)
        if found is not None:
            path, manifest = found
            self.model.load_state_dict(weights.load_model(path).state_dict())
            self.progress = Progress(**read_state(path))
            self.aborts.load_state_dict(self.progress.aborts)
            log.info("resuming from %s (step %d)", path.name, manifest.step)
            return weights.load_optimizer(path)
        if list_checkpoints(kept):
            log.warning("no checkpoint of this training can be gone on from: it begins anew")
        if plan.parent is None:
            return None
        self.model.load_state_dict(weights.load_model(plan.parent).state_dict())
        if plan.first_epoch == 1:
            return None
        moments = weights.load_optimizer(plan.parent)
        if moments is None:
            log.warning("%s holds no moments of the optimizer (LAST and FINAL do): they begin anew", plan.parent.name)
        return moments

    def run(self) -> TrainingResult:
        """Epoch after epoch to the FINAL checkpoint, or to the reason not to go on."""
        status, reason = "failed", None
        try:
            with self._signals(), self.engine.active(), out_of_memory(self.settings, self.engine.execution):
                if self.ranks.is_rank_zero:
                    self.recorder.begin(resumed=self.progress.step > 0)
                status, reason = self._train() or ("completed", None)
                path = self.ranks.broadcast_object(str(self.saver.end(reason)) if self.ranks.is_rank_zero else None)
                return TrainingResult.of(Path(path), found=False)
        except Interrupted as error:
            status, reason = "interrupted", str(error)
            raise
        except BaseException as error:
            status, reason = "failed", f"{type(error).__name__}: {error}"
            raise
        finally:
            if self.ranks.is_rank_zero:
                with suppress(OSError):  # a full disk must not hide why the training ended
                    self.recorder.end(status, reason)

    def _train(self) -> Stop | None:
        p = self.progress
        if p.step == 0 and self.ranks.is_rank_zero:
            p.began = self._held_out_loss()
        while p.epoch <= self.settings.epochs:
            p.begun = p.epoch
            for batches in self._strides(self.data.epoch(p.epoch)[p.batch :]):
                if stop := self._steps(batches):
                    return stop
                if self.ranks.is_rank_zero:
                    self.recorder.after_steps(len(batches))
                    self.saver.after_steps()
                self._check_interrupt()
            train_loss = p.end_epoch()
            if stop := self.ranks.broadcast_object(self._end_of_epoch(train_loss) if self.ranks.is_rank_zero else None):
                return Stop(*stop)
        return None

    def _strides(self, batches: list[Batch]) -> Iterator[list[Batch]]:
        """The batches, as many at a time as are computed between two looks at the device."""
        stride = self.engine.stride
        return (batches[i : i + stride] for i in range(0, len(batches), stride))

    def _steps(self, batches: list[Batch]) -> Stop | None:
        p = self.progress
        for batch, step in zip(batches, self.engine.steps(batches, p.step), strict=True):
            if stop := self.aborts.after_step(p.step + 1, *step):
                return stop
            p.count(step.loss, batch.tokens)
        return None

    def _end_of_epoch(self, train_loss: float) -> Stop | None:
        p, epoch, best_before = self.progress, self.progress.begun, self.progress.best_loss
        held_out = self._held_out_loss()
        self.model.eval()
        with threads_for(self.model.architecture):
            self.recorder.after_epoch(train_loss, held_out)
            stop = self.aborts.after_epoch(p.epoch_losses, held_out)
            if stop is None:
                saved = self.saver.after_epoch(epoch, held_out)
                stop = self.gates.after_epoch(epoch, self.model, saved, train_loss, best_before)
        self.model.train()
        self.recorder.restart_clock()
        return stop

    def _held_out_loss(self) -> float:
        self.model.eval()
        with threads_for(self.model.architecture):
            loss = predict(self.model, self.held_out).loss
        self.model.train()
        return loss

    def _check_interrupt(self) -> None:
        if self.ranks.any(self.signal is not None):
            if self.ranks.is_rank_zero:
                self.saver.rolling()
            name = signal.Signals(self.signal).name if self.signal else "a signal to another rank"
            raise Interrupted(f"{name} at step {self.progress.step}")

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """SIGINT and SIGTERM end the training after the step that runs."""

        def interrupt(signum: int, frame: object) -> None:
            self.signal = signum

        before = {s: signal.signal(s, interrupt) for s in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for signum, handler in before.items():
                signal.signal(signum, handler)
