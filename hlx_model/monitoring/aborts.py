"""When a training is lost: the users' abort conditions, judged on its losses as they come.

Of the guide's five, three read the loss and are here; a failed gate is `hlx_model.evaluation`; no progress
for five minutes is for the watchdog, since a stalled trainer cannot say that it is stalled. That a loss
or gradient is NaN or infinite is found before the optimizer's step, so that the weights stay whole.
"""

import itertools
import math
import statistics
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple


class Stop(NamedTuple):
    """Why a training must not go on: the status of its heartbeat, and a line for a person."""

    status: Literal["quality_failed", "aborted"]
    reason: str


@dataclass(frozen=True)
class AbortLimits:
    """The guide's thresholds (`seeds`: "Abort Conditions"), in nats of training loss."""

    diverged: float = 15.0
    """Training loss above this has diverged; a uniform guess has 4.76."""
    diverged_steps: int = 8
    """It is the mean of so many steps that is held against it; at the end of an epoch, the epoch's."""
    collapsed: float = 0.001
    """Training loss below this …"""
    collapsed_before_epoch: int = 10
    """… before this epoch is too good to be true."""
    rising_epochs: int = 5
    """So many epochs in a row with a higher training loss than the one before."""
    rising_least: float = 0.01
    """Together they must have risen by this share: on a plateau, five chance rises in a row do happen."""
    spike_deviations: float = 8.0
    """A step's loss is a spike when it lies so many deviations above the median of the steps before it …"""
    spike_least: float = 1.5
    """… and by so much at least: in healthy runs replayed English lies 1 nat above the pairs beside it."""
    spike_history: int = 128
    """Median and deviation are those of so many steps; they are judged from half of them on."""
    spikes: int = 20
    """So many spikes …"""
    spikes_within: int = 100
    """… within so many steps end a training; healthy runs had none (`docs/performance.md`)."""


class Aborts:
    """The abort conditions over one training. What they remember travels in its checkpoints.

    A spike is judged against the median of the steps before it and their median absolute deviation (times
    1.4826, which makes it the standard deviation of normal noise): neither is moved by a few wild losses, as
    mean and standard deviation are, and a loss that is no number never enters them.
    """

    def __init__(self, limits: AbortLimits | None = None, *, first_epoch: int = 1) -> None:
        self.limits, self.first_epoch = limits or AbortLimits(), first_epoch
        self._began: float | None = None
        self._losses: deque[float] = deque(maxlen=self.limits.spike_history)
        self._spikes: deque[int] = deque(maxlen=self.limits.spikes_within)

    def after_step(self, step: int, loss: float, gradient_norm: float) -> Stop | None:
        """Judge step number `step` by its loss and gradient norm."""
        if reason := not_finite(loss, gradient_norm):
            return Stop("aborted", f"{reason} at step {step}: use a lower learning rate")
        if self._began is None:
            self._began = loss
        limits = self._limits()
        spike, median = self._is_spike(loss)
        self._spikes.append(int(spike))
        self._losses.append(loss)
        last = list(self._losses)[-limits.diverged_steps :]
        if len(last) == limits.diverged_steps and (reason := diverged(statistics.fmean(last), limits)):
            return Stop("aborted", f"{reason} (step {step})")
        if sum(self._spikes) >= limits.spikes:
            return Stop(
                "aborted",
                f"training loss spiked in {sum(self._spikes)} of the last {len(self._spikes)} steps, at step {step} to "
                f"{loss:.2f} beside a median of {median:.2f}: use a lower learning rate, or look at the corpus",
            )
        return None

    def _limits(self) -> AbortLimits:
        """The limits, where what began above 15 has not diverged before it is above that.

        A phase that starts from another's weights may: English learned by heart begins HLX at 18.7 nats, and has
        0.3 after a minute (the users' document, `docs/LOG.md`).
        """
        return replace(self.limits, diverged=max(self.limits.diverged, self._began or 0.0))

    def _is_spike(self, loss: float) -> tuple[bool, float]:
        limits = self.limits
        if len(self._losses) < limits.spike_history // 2:
            return False, loss
        median = statistics.median(self._losses)
        deviation = 1.4826 * statistics.median(abs(x - median) for x in self._losses)
        return loss > median + max(limits.spike_deviations * deviation, limits.spike_least), median

    def after_epoch(self, epoch_losses: Sequence[float], held_out: float) -> Stop | None:
        """Judge the epochs so far by their mean training losses, and the last by its held-out loss."""
        if not math.isfinite(held_out):
            epoch = self.first_epoch - 1 + len(epoch_losses)
            return Stop("aborted", f"held-out loss is {held_out} at epoch {epoch}: use a lower learning rate")
        reason = abort_reason(epoch_losses, self._limits(), first_epoch=self.first_epoch)
        return Stop("aborted", reason) if reason else None

    def state_dict(self) -> dict[str, Any]:
        """What they remember, as JSON."""
        return {"began": self._began, "losses": list(self._losses), "spikes": list(self._spikes)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up what `state_dict` gave."""
        self._began = state["began"]
        self._losses.extend(state["losses"])
        self._spikes.extend(state["spikes"])


def not_finite(loss: float, gradient_norm: float) -> str | None:
    """Why the optimizer must not step, or None."""
    if not math.isfinite(loss):
        return f"training loss is {loss}"
    if not math.isfinite(gradient_norm):
        return f"gradient norm is {gradient_norm}"
    return None


def diverged(loss: float, limits: AbortLimits) -> str | None:
    """Why a mean training loss means that the training diverged, or None."""
    if loss > limits.diverged:
        return f"training loss diverged: {loss:.2f} is above {limits.diverged:g}: use a lower learning rate"
    return None


def abort_reason(
    epoch_losses: Sequence[float], limits: AbortLimits | None = None, *, first_epoch: int = 1
) -> str | None:
    """Why to stop after these epochs' mean training losses, `first_epoch`'s first, or None to go on."""
    limits = limits or AbortLimits()
    if not epoch_losses:
        return None
    epoch, loss = first_epoch - 1 + len(epoch_losses), epoch_losses[-1]
    if reason := diverged(loss, limits):
        return reason
    if loss < limits.collapsed and epoch < limits.collapsed_before_epoch:
        return (
            f"training loss collapsed too early: {loss:.5f} is below {limits.collapsed:g} at epoch {epoch}: "
            "look whether the labels are the inputs, or the corpus is one sentence"
        )
    last = epoch_losses[-limits.rising_epochs - 1 :]
    rising = len(last) > limits.rising_epochs and all(b > a for a, b in itertools.pairwise(last))
    if rising and last[-1] >= last[0] * (1 + limits.rising_least):
        return (
            f"training loss rose for {limits.rising_epochs} epochs in a row, from {last[0]:.3f} to {last[-1]:.3f}: "
            "use a lower learning rate"
        )
    return None
