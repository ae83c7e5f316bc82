"""The rules on a training's losses, for the trainer (`aborts.py`) and for the watchdog (`rules.py`) alike.

To add one: a function of `Losses` that returns the reason, and a row in `LOSS_RULES`, or in `LOSS_WARNINGS` if it must
not stop a training.
"""

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

LOWER_RATE = "use a lower learning rate"


@dataclass(frozen=True)
class LossLimits:
    """The limits, in nats of training loss but for the last. The first five are those of the reference schedule."""

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
    max_above_best: float = 0.5
    """A validation loss so far above the best one before it is a warning. Healthy trainings rose by at most 0.18
    (`supervision/curves`). Learned by heart, documents of 36 and 48 entries with few words rose by 0.2 and by 0.4 to
    0.5; one of 40 entries rose to 4.65 in 700 epochs, nearly a uniform guess."""


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
    best: float | None = None
    """Lowest validation loss of the epochs before."""
    best_epoch: int | None = None
    """The epoch of it."""
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
    figures = {"training loss": losses.train, "validation loss": losses.held_out, "gradient norm": losses.gradient_norm}
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


def _overfitting(losses: Losses, limits: LossLimits) -> str | None:
    held_out, best, limit = losses.held_out, losses.best, limits.max_above_best
    if held_out is not None and best is not None and held_out >= best + limit:
        above = f"{limit:g} nats or more above its best, {best:.2f} at epoch {losses.best_epoch}"
        advice = "the model learns its text by heart: add entries, or pass on the best checkpoint (`pass_on: best`)"
        return f"validation loss {held_out:.2f} at {losses.place} is {above}: {advice}"
    return None


LossRules = Mapping[str, Callable[[Losses, LossLimits], str | None]]
LOSS_RULES: LossRules = {
    "not_finite": _not_finite,
    "diverged": _diverged,
    "collapsed": _collapsed,
    "rising": _rising,
    "spiking": _spiking,
}
"""By name: the function that returns the reason to stop a training, or None. The first that speaks counts."""
LOSS_WARNINGS: LossRules = {"overfitting": _overfitting}
"""The same of reasons that stop nothing."""


class Problem(NamedTuple):
    """What is wrong with a training."""

    name: str
    """The name of the rule that it breaks."""
    reason: str
    """One line for a person: the figure, what is required, and what to do."""
    lost: bool = True
    """Whether the training must be stopped; if not, a person must decide."""


def check_losses(losses: Losses, limits: LossLimits | None = None, *, lost: bool = True) -> Problem | None:
    """Return what the first broken rule finds; None if no rule is broken.

    Args:
        losses: of a training.
        limits: None: the usual ones.
        lost: check the rules that stop a training; if False, those that warn.
    """
    for name, rule in (LOSS_RULES if lost else LOSS_WARNINGS).items():
        if reason := rule(losses, limits or LossLimits()):
            return Problem(name, reason, lost)
    return None


class Alarm(NamedTuple):
    """The place in a curve at which the watchdog raises an alarm, or warns."""

    step: int
    epoch: int
    problem: Problem


def recorded(rows: Iterable[Mapping[str, Any]]) -> Iterator[tuple[Mapping[str, Any], Losses]]:
    """Yield each row of a curve with the losses that were known at it."""
    initial: float | None = None
    best: float | None = None
    best_epoch: int | None = None
    epochs: list[float] = []
    for row in rows:
        train, held_out, epoch = float(row["train_loss"]), row["held_out_loss"], row["epoch"]
        initial = train if initial is None else initial
        ended = held_out is not None
        if ended:
            epochs.append(train)
        yield row, Losses(
            f"epoch {epoch}", train, held_out, best=best, best_epoch=best_epoch, initial=initial, mean=train,
            epoch=epoch, epochs=epochs if ended else (),
        )  # fmt: skip
        if ended and (best is None or held_out < best):
            best, best_epoch = held_out, epoch


def simulate(rows: Iterable[Mapping[str, Any]], limits: LossLimits | None = None, *, lost: bool = True) -> Alarm | None:
    """Return the alarm at the first row that breaks a loss rule, as if checked after every row; None if none does.

    Args:
        rows: of a curve.
        limits: None: the usual ones.
        lost: check the rules that stop a training; if False, those that warn.
    """
    for row, losses in recorded(rows):
        if problem := check_losses(losses, limits, lost=lost):
            return Alarm(row["step"], row["epoch"], problem)
    return None
