"""The trainer's part of the abort rules: what they need to remember from step to step.

A failed gate stops a training too (`training/loop.py`). A stall or a dead process is found by the watchdog, since
a trainer cannot report its own.
"""

import math
import statistics
from collections import deque
from collections.abc import Sequence
from typing import Literal, NamedTuple

from hlx_model.checkpoints.progress import AbortMemory
from hlx_model.monitoring.losses import Losses, LossLimits, Spikes, check_losses


class Stop(NamedTuple):
    """Why a training must stop: the status of its heartbeat, and one line for a person."""

    status: Literal["quality_failed", "aborted"]
    reason: str


class Aborts:
    """Applies the abort rules to one training. `memory` travels in its checkpoints.

    A spike is judged against the median of the steps before it and their median absolute deviation (times 1.4826, which
    makes it the standard deviation of normal noise). A few wild losses move mean and standard deviation, but not these.
    """

    def __init__(self, limits: LossLimits | None = None, *, first_epoch: int = 1) -> None:
        self.limits, self.first_epoch = limits or LossLimits(), first_epoch
        self.memory = AbortMemory()

    @property
    def memory(self) -> AbortMemory:
        """What the rules remember; set it to resume a training."""
        return AbortMemory(
            initial_loss=self._initial, losses=tuple(self._losses), spikes=tuple(self._spikes), warned=self._warned
        )

    @memory.setter
    def memory(self, memory: AbortMemory) -> None:
        self._initial = memory.initial_loss
        self._losses = deque(memory.losses, maxlen=self.limits.spike_history)
        self._spikes = deque(memory.spikes, maxlen=self.limits.spike_window)
        self._warned = memory.warned

    def after_step(self, step: int, loss: float, gradient_norm: float) -> Stop | None:
        """Judge one step by its training loss in nats and its gradient norm before clipping.

        A step whose figures are not finite changed no weight (`Engine.steps`), and is not remembered.
        """
        mean = spikes = None
        if math.isfinite(loss) and math.isfinite(gradient_norm):
            spikes = self._remember(loss)
            last = list(self._losses)[-self.limits.mean_steps :]
            mean = statistics.fmean(last) if len(last) == self.limits.mean_steps else None
        return self._stop(Losses(
            f"step {step}", loss, gradient_norm=gradient_norm, initial=self._initial or 0.0, mean=mean, spikes=spikes,
        ))  # fmt: skip

    def after_epoch(self, epoch_losses: Sequence[float], held_out: float) -> Stop | None:
        """Judge the epochs so far by their mean training losses, and the last by its validation loss; in nats."""
        epoch, train = self.first_epoch - 1 + len(epoch_losses), epoch_losses[-1]
        return self._stop(Losses(
            f"epoch {epoch}", train, held_out, initial=self._initial or 0.0, mean=train, epoch=epoch,
            epochs=epoch_losses,
        ))  # fmt: skip

    def warning(self, epoch: int, held_out: float, best: float | None, best_epoch: int | None) -> str | None:
        """Return what a person should know after an epoch, as one line; each warning only once in a training.

        Args:
            epoch: the one that has ended.
            held_out: its validation loss, in nats.
            best: the lowest validation loss before it, in nats; None before the first.
            best_epoch: the epoch of the lowest one.
        """
        losses = Losses(f"epoch {epoch}", None, held_out, best=best, best_epoch=best_epoch)
        found = check_losses(losses, self.limits, lost=False)
        if found is None or found.name in self._warned:
            return None
        self._warned = (*self._warned, found.name)
        return found.reason

    def _stop(self, losses: Losses) -> Stop | None:
        finding = check_losses(losses, self.limits)
        return Stop("aborted", finding.reason) if finding else None

    def _remember(self, loss: float) -> Spikes:
        """Return the spikes among the last steps, with this one, and the median loss before it."""
        self._initial = loss if self._initial is None else self._initial
        limits, spike, median = self.limits, False, loss
        if len(self._losses) >= limits.spike_history // 2:
            median = statistics.median(self._losses)
            deviation = 1.4826 * statistics.median(abs(x - median) for x in self._losses)
            spike = loss > median + max(limits.spike_deviations * deviation, limits.min_spike)
        self._spikes.append(int(spike))
        self._losses.append(loss)
        return Spikes(sum(self._spikes), len(self._spikes), median)
