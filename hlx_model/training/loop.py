"""The training loop: step, check, record, save; at an epoch's end evaluate, save, check the gates.

`train` leaves a FINAL checkpoint, or a STOPPED one with its reason if a gate or an abort rule stopped the training. A
crash or a signal leaves a LAST one, from which the next call resumes, on a CPU to the same bytes: the order of the data
follows from seed and epoch, and a step draws nothing at random.
"""

import logging
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from pathlib import Path

from torch import Tensor

from hlx_model.checkpoints import weights
from hlx_model.checkpoints.progress import Progress, read_state
from hlx_model.checkpoints.seal import list_checkpoints, newest_resumable
from hlx_model.evaluation.losses import baselines, predict
from hlx_model.evaluation.milestones import SAMPLE, due, milestone_gates
from hlx_model.evaluation.target import EpochMeasurements
from hlx_model.files import write_json
from hlx_model.layout import CHECKPOINTS, MILESTONE_RESULTS
from hlx_model.model.device import threads, threads_of
from hlx_model.model.sizes import SIZES
from hlx_model.model.transformer import Transformer
from hlx_model.monitoring.aborts import Aborts, Stop
from hlx_model.runs.directory import TrainingResult, ended_training, remove_temporaries, training_lock
from hlx_model.runs.passing import PassOn, choose
from hlx_model.runs.processes import SAME_SIGNAL
from hlx_model.training.batches import TrainingData
from hlx_model.training.distributed import Ranks
from hlx_model.training.engine import Engine
from hlx_model.training.events import EventSink, MilestoneJudged, Noted, ignore
from hlx_model.training.execution import ExecutionConfig
from hlx_model.training.memory import out_of_memory
from hlx_model.training.plan import TrainingPlan, sample
from hlx_model.training.recorder import Recorder
from hlx_model.training.saver import Saver
from hlx_model.verdicts import Milestone, worst

log = logging.getLogger(__name__)

HELD_OUT_SAMPLE = 512
COUNTED = 4096
"""Training texts whose symbols are counted for the unigram baseline."""


ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)
"""Signals that end a training: of a terminal, a service, a closed terminal, and the warning of a cluster (Slurm)."""


class Interrupted(Exception):
    """A signal ended the training; its LAST checkpoint contains all that was done."""


def train(
    plan: TrainingPlan, *, execution: ExecutionConfig, pass_on: PassOn = "final", ranks: Ranks | None = None,
    emit: EventSink = ignore, before: Callable[[], None] | None = None,
) -> TrainingResult:  # fmt: skip
    """Start or resume the training of a plan, or return its result if it has already ended.

    Args:
        plan: what it starts from.
        execution: the machine's settings.
        pass_on: which checkpoint is the result if the training completes.
        ranks: the processes that train together; None is this one alone.
        emit: receives the events.
        before: is called before the first step, if there is one to do.

    Raises:
        AlreadyRunning: another process runs the same training.
        CheckpointError: the BEST checkpoint is to be passed on, and is missing or damaged.
        Interrupted: a signal of `ENDING` came; the next call resumes.
        OutOfMemory: the device ran out of memory; the next call resumes.
    """
    ranks = ranks or Ranks(execution.device)
    plan.directory.mkdir(parents=True, exist_ok=True)
    with training_lock(plan.directory) if ranks.is_rank_zero else nullcontext():
        ended = ended_training(plan.directory, plan.id) if ranks.is_rank_zero else None
        if found := ranks.broadcast_object(str(ended) if ended else None):
            result = TrainingResult.of(Path(found), found=True)
        else:
            if ranks.is_rank_zero:
                remove_temporaries(plan.directory)
                if before is not None:
                    before()
            result = _Training(plan, execution, ranks, emit).run()
        return choose(result, pass_on) if ranks.is_rank_zero else result


class _Training:
    """One running training: model, data, and what checks, records and saves."""

    def __init__(self, plan: TrainingPlan, execution: ExecutionConfig, ranks: Ranks, emit: EventSink) -> None:
        self.plan, self.settings, self.ranks = plan, plan.settings, ranks
        s, first_epoch = plan.settings, plan.first_epoch
        self.data = TrainingData(plan.train, plan.replay, s)
        self.held_out = sample(plan.held_out, HELD_OUT_SAMPLE, s.seed)
        self.train_sample = sample(plan.train, SAMPLE, s.seed)
        self.unigram = baselines(sample(plan.train, COUNTED, s.seed), self.held_out).unigram
        self.progress = Progress(epoch=first_epoch)
        self.aborts = Aborts(first_epoch=first_epoch)
        self.model = Transformer(SIZES[s.size])
        self.emit, self.signal = emit, 0
        moments = self._restore()
        self.model.to(ranks.device)
        steps = len(self.data.epoch(first_epoch)) * (s.epochs - first_epoch + 1)
        self.engine = Engine(self.model, s, steps, execution, ranks)
        if moments is not None:
            self.engine.optimizers.load_state_dict(moments)
            if self.progress.scaler:
                self.engine.scaler.load_state_dict(self.progress.scaler)
        self.recorder = Recorder(plan, self.progress, self.engine.optimizers, emit)
        self.saver = Saver(plan, self.engine, self.aborts, self.progress, emit)

    def _restore(self) -> dict[str, Tensor] | None:
        """Give the model its first weights, and return the optimizer's moments, if there are any.

        From this training's newest checkpoint, whose progress is restored too; else from the parent; else fresh.
        """
        plan, checkpoints = self.plan, self.plan.directory / CHECKPOINTS
        if found := newest_resumable(checkpoints, plan.id):
            weights.load_weights(found, self.model)
            self.progress = read_state(found.path)
            self.aborts.memory = self.progress.aborts
            self._note(f"resuming from {found.path.name} (step {found.manifest.step}, epoch {found.manifest.epoch})")
            return weights.load_optimizer(found)
        if list_checkpoints(checkpoints):
            log.warning("no checkpoint of this training can be resumed from: it starts from the beginning")
        if plan.parent is None:
            self.model.initialize(self.settings.seed)
            return None
        weights.load_weights(plan.parent, self.model)
        if plan.first_epoch == 1:
            return None
        moments = weights.load_optimizer(plan.parent)
        if moments is None:
            log.warning("%s has no optimizer moments (LAST and FINAL do): they start at zero", plan.parent.path.name)
        return moments

    def _note(self, text: str) -> None:
        log.info("%s", text)
        if self.ranks.is_rank_zero:
            self.emit(Noted(text))

    def run(self) -> TrainingResult:
        """Train to the FINAL checkpoint, or to the STOPPED one."""
        status: str
        reason: str | None
        try:
            with self._signals(), self.engine.active(), out_of_memory(self.settings, self.engine.execution):
                if self.ranks.is_rank_zero:
                    self.recorder.begin()
                status, reason = self._train() or ("completed", None)
                path = self.ranks.broadcast_object(str(self.saver.end(reason)) if self.ranks.is_rank_zero else None)
                return TrainingResult.of(Path(path), found=False)
        except BaseException as error:
            status, reason = "failed", f"{type(error).__name__}: {error}"
            if isinstance(error, Interrupted):
                status, reason = "interrupted", str(error)
            raise
        finally:
            if self.ranks.is_rank_zero:
                with suppress(OSError):  # a full disk must not hide why the training ended
                    self.recorder.beat(status, reason)

    def _train(self) -> Stop | None:
        p = self.progress
        if p.step == 0 and self.ranks.is_rank_zero:
            with self._evaluating():
                p.initial_held_out_loss = predict(self.model, self.held_out).loss
        while p.epoch <= self.settings.epochs:
            p.current_epoch = p.epoch
            batches = self.data.epoch(p.epoch)
            while p.batch < len(batches):
                stride = batches[p.batch : p.batch + self.engine.stride]
                for batch, step in zip(stride, self.engine.steps(stride, p.step), strict=True):
                    if stop := self.aborts.after_step(p.step + 1, *step):
                        return stop
                    p.count(step.loss, batch.tokens)
                if self.ranks.is_rank_zero:
                    self.recorder.after_steps(len(stride))
                    self.saver.after_steps()
                self._check_interrupt()
            train_loss = p.end_epoch()
            if stop := self.ranks.broadcast_object(self._end_of_epoch(train_loss) if self.ranks.is_rank_zero else None):
                return Stop(*stop)
        return None

    def _end_of_epoch(self, train_loss: float) -> Stop | None:
        p, best_before = self.progress, self.progress.best_loss
        with self._evaluating():
            held_out = predict(self.model, self.held_out).loss
            self.recorder.record(train_loss, held_out=held_out)
            stop = self.aborts.after_epoch(p.epoch_losses, held_out)
            if stop is None:
                if warning := self.aborts.warning(p.current_epoch, held_out, p.best_loss, p.best_epoch):
                    self.recorder.warn(warning)
                saved = self.saver.after_epoch(p.current_epoch, held_out)
                if due(p.current_epoch, self.settings.epochs, self.engine.execution.gate_every):
                    stop = self.check_gates(saved, train_loss, best_before)
        self.recorder.restart_clock()
        return stop

    def check_gates(self, saved: Path | None, train_loss: float, best_before: float | None) -> Stop | None:
        """Evaluate the gates of a milestone, and record the results; return a stop if one failed.

        Args:
            saved: the checkpoint of the epoch that has ended, if one was saved.
            train_loss: the trainer's own mean loss of the epoch, in nats.
            best_before: the best validation loss before it, in nats.
        """
        s, p = self.settings, self.progress
        held_out = predict(self.model, self.held_out[:SAMPLE])
        # In this order, so that a loss of NaN is the result.
        best = held_out.loss if best_before is None else min(held_out.loss, best_before)
        measured = EpochMeasurements(
            p.current_epoch, s.epochs, p.step, held_out, predict(self.model, self.train_sample),
            reported_loss=train_loss, best_loss=best, initial_loss=p.initial_held_out_loss, unigram=self.unigram,
            train_tokens=self.data.tokens, size=s.size, checkpoint=saved,
        )  # fmt: skip
        gates = milestone_gates(measured)
        milestone = Milestone(epoch=p.current_epoch, outcome=worst(gates), gates=tuple(gates))
        p.milestones.append(milestone)
        write_json(self.plan.directory / MILESTONE_RESULTS, [m.to_json() for m in p.milestones])
        self.emit(MilestoneJudged(milestone))
        if not milestone.failed:
            return None
        gate = milestone.failed[0]
        return Stop("quality_failed", f"gate {gate.name} failed at epoch {p.current_epoch}: {gate.reason}")

    @contextmanager
    def _evaluating(self) -> Iterator[None]:
        self.model.eval()
        with threads(threads_of(self.model.architecture)):
            yield
        self.model.train()

    def _check_interrupt(self) -> None:
        if self.ranks.any(self.signal > 0):
            if self.ranks.is_rank_zero:
                self.saver.rolling()
            self._note(f"interrupted at step {self.progress.step}: its checkpoint is written")
            name = signal.Signals(self.signal).name if self.signal else "a signal to another rank"
            raise Interrupted(f"{name} at step {self.progress.step}")

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """Let a signal end the training after the current step, with a checkpoint; a second one ends it at once."""
        first = 0.0

        def interrupt(signum: int, frame: object) -> None:
            nonlocal first
            name, now = signal.Signals(signum).name, time.monotonic()
            if self.signal:
                if now - first > SAME_SIGNAL:
                    raise Interrupted(f"a second signal, {name}, at step {self.progress.step}: nothing more was saved")
                return
            self.signal, first = signum, now
            log.warning(
                "%s: it ends after this step or evaluation, with a checkpoint; a second signal ends it now", name
            )

        with ExitStack() as stack:
            for signum in ENDING:
                before = signal.getsignal(signum)
                if (signum, before) != (signal.SIGHUP, signal.SIG_IGN):  # as under nohup
                    stack.callback(signal.signal, signum, signal.signal(signum, interrupt))
            yield
