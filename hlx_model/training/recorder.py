"""Records how a training proceeds: its heartbeat, its metrics, and events for whoever listens."""

import logging
import time

import torch

from hlx_model.checkpoints.progress import Progress
from hlx_model.runs.heartbeat import Heartbeat
from hlx_model.runs.liveness import LivenessMonitor
from hlx_model.runs.metrics import Metrics, MetricsRow
from hlx_model.training.events import EventSink, Recorded, Warned
from hlx_model.training.optimizers import Optimizers
from hlx_model.training.plan import TrainingPlan

log = logging.getLogger(__name__)

RECORDS = 60
"""Records over a whole training, beside those at the end of each epoch."""


class Recorder:
    """Writes the heartbeat and the metrics of a training, and emits them as events."""

    def __init__(self, plan: TrainingPlan, progress: Progress, optimizers: Optimizers, emit: EventSink) -> None:
        self._directory, self._progress, self._optimizers, self._emit = plan.directory, progress, optimizers, emit
        s, steps = plan.settings, optimizers.steps
        self.heartbeat = Heartbeat(plan.id, s.phase, s.size, s.epochs, steps=steps, run_id=plan.run_id)
        self._metrics = Metrics(plan.directory)
        self._every = max(1, steps // RECORDS)
        self._beaten = time.monotonic()
        self.restart_clock()
        self._liveness = LivenessMonitor(plan.directory.parent, self.warn)

    def begin(self) -> None:
        """Record that the training starts, or resumes from its progress."""
        self._metrics.rewind(self._progress.step or -1)
        self.beat("training")

    def after_steps(self, steps: int) -> None:
        """Record metrics if they are due after so many more steps; else refresh the heartbeat every second."""
        p, beat = self._progress, self.heartbeat
        due = p.step // self._every > (p.step - steps) // self._every
        if due or time.monotonic() - self._beaten > 1:
            rate = (p.window_tokens - self._tokens) / max(1e-9, time.monotonic() - self._since)
            beat.tokens_per_second, beat.train_loss = rate, p.window_loss / p.window_tokens
            beat.eta_seconds = (beat.steps - p.step) * (p.epoch_tokens / p.batch) / rate if rate > 0 else None
            if due:
                self.record(beat.train_loss, rate=rate)
                p.window_loss, p.window_tokens = 0.0, 0
                self.restart_clock()
            else:  # the next record of a long training may be an hour away
                self.beat("training")
        self._liveness.check()

    def restart_clock(self) -> None:
        """Measure the speed from now on: the time before was not spent on training."""
        self._since, self._tokens = time.monotonic(), self._progress.window_tokens

    def warn(self, text: str) -> None:
        """Tell a person something, in one line: in the log, and as an event."""
        log.warning("%s", text)
        self._emit(Warned(text))

    def beat(self, status: str, reason: str | None = None) -> None:
        """Update status, step, memory and pace (the longest time without a beat), and write the heartbeat."""
        beat = self.heartbeat
        beat.status, beat.reason = status, reason
        beat.epoch, beat.step = self._progress.current_epoch, self._progress.step
        # Estimated as the first epoch's batches times the epochs: others may have a few more or fewer.
        beat.steps = beat.step if status == "completed" else max(beat.step, beat.steps)
        if torch.cuda.is_available():
            beat.gpu_memory_bytes = torch.cuda.max_memory_allocated()
            beat.gpu_memory_total = torch.cuda.mem_get_info()[1]
        now = time.monotonic()
        beat.pace, self._beaten = max(beat.pace, now - self._beaten) if beat.running else beat.pace, now
        beat.write(self._directory)

    def record(self, train_loss: float, *, held_out: float | None = None, rate: float | None = None) -> None:
        """Record losses, in nats, and how many tokens a second were trained."""
        p, beat = self._progress, self.heartbeat
        row: MetricsRow = {
            "step": p.step, "epoch": p.current_epoch, "train_loss": train_loss, "held_out_loss": held_out,
            "learning_rate": self._optimizers.learning_rate(p.step), "tokens_per_second": rate,
        }  # fmt: skip
        beat.train_loss, beat.learning_rate = train_loss, row["learning_rate"]
        beat.held_out_loss = held_out if held_out is not None else beat.held_out_loss
        self.beat("training")
        self._metrics.append(row)
        self._emit(Recorded(row, beat.steps, beat.eta_seconds))
