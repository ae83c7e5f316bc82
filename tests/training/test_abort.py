"""When a training is lost, and when it only looks so."""

import math

import pytest

from hlx_model.training.abort import AbortLimits, abort_reason, diverged, not_finite

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
