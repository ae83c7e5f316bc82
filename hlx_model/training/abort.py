"""When a training is lost: the users' abort conditions, judged on what it has recorded.

Of the guide's five, three read the loss and are here; a failed gate is `hlx_model.quality`; no progress
for five minutes is for the watchdog, since a stalled trainer cannot say that it is stalled. That a loss
or gradient is NaN or infinite is found before the optimizer's step, so that the weights stay whole.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class AbortLimits:
    """The guide's thresholds (`seeds`: "Abort Conditions"), in nats of training loss."""

    diverged: float = 15.0
    """Training loss above this has diverged; a uniform guess has 4.76."""
    collapsed: float = 0.001
    """Training loss below this …"""
    collapsed_before_epoch: int = 10
    """… before this epoch is too good to be true."""
    rising_epochs: int = 5
    """So many epochs in a row with a higher training loss than the one before."""
    rising_least: float = 0.01
    """Together they must have risen by this share: on a plateau, five chance rises in a row do happen."""


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
