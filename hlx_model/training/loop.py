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

from hlx_model import checkpoint
from hlx_model.device import device_of, threads_for
from hlx_model.quality.language_model import predict
from hlx_model.sizes import SIZES
from hlx_model.training.abort import Aborts, Stop
from hlx_model.training.batches import Batch, Data
from hlx_model.training.directory import Outcome, ended_training, only_one, set_stopped_aside, sweep
from hlx_model.training.engine import Engine
from hlx_model.training.execution import Execution
from hlx_model.training.gates import Gates
from hlx_model.training.inputs import Inputs, sample
from hlx_model.training.memory import out_of_memory
from hlx_model.training.progress import Progress
from hlx_model.training.ranks import Ranks
from hlx_model.training.record import Listener, Recorder
from hlx_model.training.saving import Saver
from hlx_model.transformer import Transformer

log = logging.getLogger(__name__)

HELD_OUT_SAMPLE = 512


class Interrupted(Exception):
    """A signal ended the training; the LAST checkpoint holds where it stood."""


def train(
    inputs: Inputs,
    *,
    execution: Execution | None = None,
    ranks: Ranks | None = None,
    run_id: str | None = None,
    retry_stopped: bool = False,
    listen: Listener = lambda event, figures: None,
) -> Outcome:
    """Train, or go on with, or find, the training that `inputs` determine.

    Raises:
        Busy: another process trains the same.
        Interrupted: SIGINT or SIGTERM came; the next call resumes.
        OutOfMemory: the device's memory does not hold it; the next call resumes.
    """
    execution = execution or Execution(device_of())
    ranks = ranks or Ranks(execution.device)
    inputs.directory.mkdir(parents=True, exist_ok=True)
    with only_one(inputs.directory) if ranks.first else nullcontext():
        ended = None
        if ranks.first:
            if retry_stopped:
                set_stopped_aside(inputs.directory)
            ended = ended_training(inputs.directory, inputs.id)
            if ended is None:
                sweep(inputs.directory)
        if found := ranks.agree(str(ended) if ended else None):
            return Outcome.of(Path(found), found=True)
        return _Training(inputs, execution, ranks, run_id, listen).run()


class _Training:
    """One training at work: model, data, and what watches over them."""

    def __init__(
        self, inputs: Inputs, execution: Execution, ranks: Ranks, run_id: str | None, listen: Listener
    ) -> None:
        self.inputs, self.settings, self.ranks = inputs, inputs.settings, ranks
        s = inputs.settings
        self.data = Data(inputs.train, inputs.replay, s)
        self.held_out = sample(inputs.held_out, HELD_OUT_SAMPLE, s.seed)
        self.progress = Progress(epoch=inputs.first_epoch)
        self.aborts = Aborts(first_epoch=inputs.first_epoch)
        self.model = Transformer(SIZES[s.size]).initialize(s.seed)
        moments = self._take_up()
        self.model.to(ranks.device)
        steps = len(self.data.epoch(inputs.first_epoch)) * (s.epochs - inputs.first_epoch + 1)
        self.engine = Engine(self.model, s, steps, execution, ranks)
        if moments is not None:
            self.engine.optimizers.load(moments)
            self.engine.load(self.progress.scaler)
        self.gates = Gates(inputs, self.progress, self.held_out, self.data.tokens, listen)
        self.recorder = Recorder(
            inputs, self.progress, self.engine.optimizers.learning_rate, steps, run_id, listen
        )  # fmt: skip
        self.saver = Saver(inputs, self.model, self.engine, self.aborts, self.progress, run_id, listen)
        self.signal: int | None = None

    def _take_up(self) -> dict[str, Tensor] | None:
        """Take up the newest checkpoint of this training, or the parent's weights; the moments with them."""
        inputs = self.inputs
        kept = inputs.directory / "checkpoints"
        found = checkpoint.newest_verified(kept, inputs.id, with_optimizer=True)
        if found is not None:
            path, manifest = found
            self.model.load_state_dict(checkpoint.load_model(path).state_dict())
            self.progress = Progress(**checkpoint.read_state(path))
            self.aborts.load(self.progress.aborts)
            log.info("resuming from %s (step %d)", path.name, manifest.step)
            return checkpoint.load_optimizer(path)
        if checkpoint.checkpoints(kept):
            log.warning("no checkpoint of this training can be gone on from: it begins anew")
        if inputs.parent is None:
            return None
        self.model.load_state_dict(checkpoint.load_model(inputs.parent).state_dict())
        if inputs.first_epoch == 1:
            return None
        moments = checkpoint.load_optimizer(inputs.parent)
        if moments is None:
            log.warning("%s holds no moments of the optimizer (LAST and FINAL do): they begin anew", inputs.parent.name)
        return moments

    def run(self) -> Outcome:
        """Epoch after epoch to the FINAL checkpoint, or to the reason not to go on."""
        status, reason = "failed", None
        try:
            with self._signals(), self.engine.at_work(), out_of_memory(self.settings, self.engine.execution):
                if self.ranks.first:
                    self.recorder.begin(resumed=self.progress.step > 0)
                status, reason = self._train() or ("completed", None)
                path = self.ranks.agree(str(self.saver.end(reason)) if self.ranks.first else None)
                return Outcome.of(Path(path), found=False)
        except Interrupted as error:
            status, reason = "interrupted", str(error)
            raise
        except BaseException as error:
            status, reason = "failed", f"{type(error).__name__}: {error}"
            raise
        finally:
            if self.ranks.first:
                with suppress(OSError):  # a full disk must not hide why the training ended
                    self.recorder.end(status, reason)

    def _train(self) -> Stop | None:
        p = self.progress
        if p.step == 0 and self.ranks.first:
            p.began = self._held_out_loss()
        while p.epoch <= self.settings.epochs:
            p.begun = p.epoch
            for batches in self._strides(self.data.epoch(p.epoch)[p.batch :]):
                if stop := self._steps(batches):
                    return stop
                if self.ranks.first:
                    self.recorder.after_steps(len(batches))
                    self.saver.after_steps()
                self._heed_signals()
            train_loss = p.end_epoch()
            if stop := self.ranks.agree(self._end_of_epoch(train_loss) if self.ranks.first else None):
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

    def _heed_signals(self) -> None:
        if self.ranks.any(self.signal is not None):
            if self.ranks.first:
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
