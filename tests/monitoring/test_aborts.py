"""When a training is lost, and when it only looks so."""

import math
import random

import pytest

from hlx_model.monitoring.aborts import (
    AbortLimits,
    Aborts,
    abort_reason,
    diverged,
    not_finite,
)

HEALTHY = [3.0, 2.5, 2.2, 2.0, 1.9, 1.8, 1.7, 1.65, 1.6, 1.55]


@pytest.mark.parametrize(
    ("losses", "reason"),
    [
        ([4.7, 15.01], "training loss diverged: 15.01 is above 15"),
        ([2157.0], "training loss diverged: 2157.00 is above 15"),
        ([math.inf], "training loss diverged: inf is above 15"),
        ([0.86, 0.025, 0.0009], "training loss collapsed too early: 0.00090 is below 0.001 at epoch 3"),
        ([*HEALTHY[:8], 0.0005], "training loss collapsed too early: 0.00050 is below 0.001 at epoch 9"),
        ([2.0, 2.1, 2.2, 2.3, 2.4, 2.5], "training loss rose for 5 epochs in a row, from 2.000 to 2.500"),
        ([*HEALTHY, 1.6, 1.7, 1.8, 1.9, 2.0], "training loss rose for 5 epochs in a row, from 1.550 to 2.000"),
    ],
)
def test_a_lost_training_is_ended_with_its_reason(losses: list[float], reason: str) -> None:
    found = abort_reason(losses)
    assert found is not None and found.startswith(reason)
    assert ": use a lower learning rate" in found or ": look whether" in found


@pytest.mark.parametrize(
    "losses",
    [
        [],
        [4.76],
        [14.99, 4.0],
        HEALTHY,
        [*HEALTHY[:9], 0.0005],  # from epoch 10 on a small corpus may be learned by heart
        [0.86, 0.025, 0.0011],
        [2.0, 2.1, 2.2, 2.3, 2.4],  # four rises
        [2.0, 2.1, 2.2, 2.3, 2.4, 2.39],
        [2.0, 2.1, 2.2, 2.3, 2.3, 2.4],
        [2.5, 2.0, 2.1, 2.2, 2.3, 2.4],
        [1.0, 1.001, 1.002, 1.004, 1.006, 1.009],  # a plateau's noise: five rises, below 1% together
        [2.0, 2.1, 2.2, 2.3, 2.4, 2.5, 1.9],  # it rose once, and has recovered
    ],
)
def test_a_healthy_training_goes_on(losses: list[float]) -> None:
    assert abort_reason(losses) is None


def test_a_training_that_goes_on_from_epoch_12_is_not_in_its_first_epochs() -> None:
    assert abort_reason([0.0005], first_epoch=12) is None
    assert abort_reason([0.0005], first_epoch=9) is not None


def test_the_limits_are_the_callers() -> None:
    assert abort_reason([4.0], AbortLimits(diverged=3.9)) is not None
    assert diverged(4.0, AbortLimits()) is None


@pytest.mark.parametrize(
    ("loss", "norm", "reason"),
    [
        (math.nan, 1.0, "training loss is nan"),
        (math.inf, 1.0, "training loss is inf"),
        (2.0, math.nan, "gradient norm is nan"),
        (2.0, math.inf, "gradient norm is inf"),
        (2157.0, 1e30, None),
    ],
)
def test_a_step_is_taken_only_on_numbers(loss: float, norm: float, reason: str | None) -> None:
    assert not_finite(loss, norm) == reason


def falling(steps: int, seed: int = 0) -> list[float]:
    """The losses of a healthy run: falling, noisy, one batch in twelve from an earlier phase and 1 nat higher."""
    chance = random.Random(seed)
    return [
        4.5 * math.exp(-step / 100) + 0.4 + chance.gauss(0, 0.1) + (1.0 if step % 12 == 0 else 0.0)
        for step in range(steps)
    ]


def stopped_at(losses: list[float], aborts: Aborts | None = None) -> tuple[int, str] | None:
    """The step at which these losses, the first of step 1, end a training, and why."""
    aborts = aborts or Aborts()
    for step, loss in enumerate(losses, start=1):
        if stop := aborts.after_step(step, loss, 1.0):
            return step, stop.reason
    return None


def test_a_healthy_run_and_a_few_wild_batches_end_nothing() -> None:
    losses = falling(2000)
    for step in range(100, 2000, 20):
        losses[step] = 9.0
    assert stopped_at(losses) is None


def test_spikes_end_a_training_at_the_twentieth_within_a_hundred_steps() -> None:
    losses = [*falling(500), *[4.0] * 100]
    found = stopped_at(losses)
    assert found is not None
    step, reason = found
    assert step == 520
    assert reason.startswith("training loss spiked in 20 of the last 100 steps, at step 520 to 4.00 beside a median")
    assert reason.endswith("use a lower learning rate, or look at the corpus")


def test_no_step_is_a_spike_before_there_is_something_to_hold_it_against() -> None:
    assert stopped_at([1.0] * 30 + [9.0] * 30) is None


def test_wild_losses_do_not_make_the_judgement_blunt() -> None:
    """Ten spikes of a million among the history: mean and standard deviation would see no other spike after them."""
    losses = falling(400)
    losses[300:380:8] = [14.0] * 10
    found = stopped_at([*losses, *[4.0] * 20], Aborts(AbortLimits(diverged=1e9)))
    assert found is not None and found[0] <= 420


def test_a_number_that_is_none_ends_a_training_and_does_not_enter_the_statistic() -> None:
    aborts = Aborts()
    assert stopped_at(falling(200), aborts) is None
    before = aborts.state_dict()
    stop = aborts.after_step(201, math.nan, 1.0)
    assert stop == ("aborted", "training loss is nan at step 201: use a lower learning rate")
    assert aborts.state_dict() == before
    assert aborts.after_step(202, 1.0, 1.0) is None


def test_a_mean_of_eight_steps_above_fifteen_has_diverged() -> None:
    found = stopped_at([4.0] * 10 + [16.0] * 7 + [20.0] * 10)
    assert found is not None
    assert found == (18, "training loss diverged: 16.50 is above 15: use a lower learning rate (step 18)")


def test_what_the_conditions_remember_goes_on_as_if_it_had_not_been_put_away() -> None:
    losses = [*falling(490), *[4.0] * 100]
    whole = stopped_at(losses)
    first, second = Aborts(), Aborts()
    assert stopped_at(losses[:500], first) is None
    second.load_state_dict(first.state_dict())
    found = stopped_at(losses[500:], second)
    assert whole is not None and found is not None
    assert 500 + found[0] == whole[0]
    assert first.state_dict() != second.state_dict()


def test_a_held_out_loss_that_is_no_number_ends_a_training() -> None:
    stop = Aborts(first_epoch=3).after_epoch([2.0, 1.9], math.inf)
    assert stop == ("aborted", "held-out loss is inf at epoch 4: use a lower learning rate")


def test_a_phase_that_begins_above_fifteen_and_falls_has_not_diverged() -> None:
    aborts = Aborts()
    assert stopped_at([18.7 - 0.1 * step for step in range(150)], aborts) is None
    assert aborts.after_epoch([17.0], 16.0) is None
    assert aborts.after_epoch([19.0], 19.0) is not None


def test_a_phase_that_begins_above_fifteen_and_rises_has_diverged() -> None:
    found = stopped_at([18.7 + 0.1 * step for step in range(50)])
    assert found is not None and found[0] == 8
    assert found[1].startswith("training loss diverged: 19.05 is above 18.7")
