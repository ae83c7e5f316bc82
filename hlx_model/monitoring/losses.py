"""The rules on a training's losses, for the trainer (`aborts.py`) and for the watchdog (`rules.py`) alike.

To add one: a function of `Losses` that returns the reason, and a row in `LOSS_RULES`.
"""

import itertools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

LOWER_RATE = "use a lower learning rate"


@dataclass(frozen=True)
class LossLimits:
    """The limits, in nats of training loss. The first five are those of the reference schedule."""

    max_loss: float = 15.0
    """A training whose mean loss is higher has diverged; a uniform guess has 4.76."""
    mean_steps: int = 8
    """Steps whose mean is compared with it; at the end of an epoch, the epoch's mean."""
    min_loss: float = 0.001
    """A lower training loss …"""
    min_loss_before_epoch: int = 10
    """… before this epoch is too good to be true."""
    rising_epochs: int = 5
    """Epochs in a row, each with a higher training loss than the one before."""
    min_rise: float = 0.01
    """They count only if the loss rose by this share over all of them: on a plateau, five chance rises do happen."""
    spike_deviations: float = 8.0
    """A step is a spike if its loss is so many deviations above the median of the steps before it …"""
    min_spike: float = 1.5
    """… and at least so much above it: in healthy runs replayed English is 1 nat above the pairs beside it."""
    spike_history: int = 128
    """Steps that median and deviation are taken of; no step is a spike before there are half as many."""
    max_spikes: int = 20
    """So many spikes …"""
    spike_window: int = 100
    """… within so many steps stop a training; healthy runs had none (`docs/performance.md`)."""


@dataclass(frozen=True)
class Spikes:
    """The spikes among the last steps."""

    count: int
    steps: int
    """The steps that they were counted in."""
    median: float
    """Median loss of the steps before the last one."""


@dataclass(frozen=True)
class Losses:
    """What is known of a training's losses at one moment; a rule is silent on what is None or empty."""

    place: str
    """`step 470` or `epoch 3`, for the reason."""
    train: float | None
    """Training loss of the last step or epoch."""
    held_out: float | None = None
    gradient_norm: float | None = None
    initial: float = 0.0
    """Training loss of the first step."""
    mean: float | None = None
    """Mean training loss of the last steps, or of the epoch that has just ended."""
    epoch: int = 0
    """The epoch that has just ended."""
    epochs: Sequence[float] = ()
    """Mean training loss of each epoch so far, at the end of an epoch."""
    spikes: Spikes | None = None


def _not_finite(losses: Losses, limits: LossLimits) -> str | None:
    figures = {"training loss": losses.train, "held-out loss": losses.held_out, "gradient norm": losses.gradient_norm}
    for name, value in figures.items():
        if value is not None and not math.isfinite(value):
            return f"{name} {value}, required finite ({losses.place}): {LOWER_RATE}"
    return None


def _diverged(losses: Losses, limits: LossLimits) -> str | None:
    # A phase that starts from another's weights may start higher: English learned by heart starts HLX at 18.7 nats, and
    # has 0.3 after a minute (`docs/LOG.md`). It has not diverged as long as it stays below where it started.
    limit = max(limits.max_loss, losses.initial)
    if losses.mean is not None and losses.mean > limit:
        return f"training loss diverged: {losses.mean:.2f}, required ≤ {limit:.4g} ({losses.place}): {LOWER_RATE}"
    return None


def _collapsed(losses: Losses, limits: LossLimits) -> str | None:
    if not losses.epochs or losses.epochs[-1] >= limits.min_loss or losses.epoch >= limits.min_loss_before_epoch:
        return None
    required = f"required ≥ {limits.min_loss:g} before epoch {limits.min_loss_before_epoch} ({losses.place})"
    advice = "check that the labels are not the inputs, and that the corpus is more than one sentence"
    return f"training loss collapsed: {losses.epochs[-1]:.5f}, {required}: {advice}"


def _rising(losses: Losses, limits: LossLimits) -> str | None:
    last = losses.epochs[-limits.rising_epochs - 1 :]
    fell = any(b <= a for a, b in itertools.pairwise(last))
    if len(last) <= limits.rising_epochs or fell or last[-1] < last[0] * (1 + limits.min_rise):
        return None
    rise = f"from {last[0]:.3f} to {last[-1]:.3f}, required < +{limits.min_rise:.0%}"
    return f"training loss rose for {limits.rising_epochs} epochs in a row, {rise} ({losses.place}): {LOWER_RATE}"


def _spiking(losses: Losses, limits: LossLimits) -> str | None:
    spikes = losses.spikes
    if spikes is None or spikes.count < limits.max_spikes:
        return None
    count = f"{spikes.count} of the last {spikes.steps} steps, required < {limits.max_spikes}"
    place = f"{losses.place}: {losses.train:.2f}, median {spikes.median:.2f}"
    return f"training loss spiked in {count} ({place}): {LOWER_RATE}, or check the corpus"


LOSS_RULES: Mapping[str, Callable[[Losses, LossLimits], str | None]] = {
    "not_finite": _not_finite,
    "diverged": _diverged,
    "collapsed": _collapsed,
    "rising": _rising,
    "spiking": _spiking,
}
"""By name: the function that returns the reason to stop a training, or None. The first that speaks counts."""


class Problem(NamedTuple):
    """What is wrong with a training."""

    name: str
    """The name of the rule that it breaks."""
    reason: str
    """One line for a person: the figure, what is required, and what to do."""
    lost: bool = True
    """Whether the training must be stopped; if not, a person must decide."""


def check_losses(losses: Losses, limits: LossLimits | None = None) -> Problem | None:
    """Return what the first broken rule finds; None if no rule is broken."""
    for name, rule in LOSS_RULES.items():
        if reason := rule(losses, limits or LossLimits()):
            return Problem(name, reason)
    return None


class Alarm(NamedTuple):
    """The place in a curve at which the watchdog raises an alarm."""

    step: int
    epoch: int
    problem: Problem


def simulate(rows: Iterable[Mapping[str, Any]], limits: LossLimits | None = None) -> Alarm | None:
    """Return the alarm at the first row that breaks a loss rule, as if checked after every row; None if none does."""
    initial: float | None = None
    epochs: list[float] = []
    for row in rows:
        train, held_out, epoch = float(row["train_loss"]), row["held_out_loss"], row["epoch"]
        initial = train if initial is None else initial
        ended = held_out is not None
        if ended:
            epochs.append(train)
        losses = Losses(
            f"epoch {epoch}", train, held_out, initial=initial, mean=train, epoch=epoch, epochs=epochs if ended else ()
        )
        if problem := check_losses(losses, limits):
            return Alarm(row["step"], epoch, problem)
    return None
