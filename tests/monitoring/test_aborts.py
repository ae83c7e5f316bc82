"""When a training must stop, and when it must not."""

import math
import random

import pytest

from hlx_model.checkpoints.progress import AbortMemory
from hlx_model.monitoring.aborts import Aborts
from hlx_model.monitoring.losses import Losses, LossLimits, check_losses

LOWER_RATE = ": use a lower learning rate"
HEALTHY = [3.0, 2.5, 2.2, 2.0, 1.9, 1.8, 1.7, 1.65, 1.6, 1.55]


@pytest.mark.parametrize(
    ("losses", "reason"),
    [
        ([4.7, 15.01], f"training loss diverged: 15.01, required ≤ 15 (epoch 2){LOWER_RATE}"),
        ([2157.0], f"training loss diverged: 2157.00, required ≤ 15 (epoch 1){LOWER_RATE}"),
        ([math.inf], f"training loss inf, required finite (epoch 1){LOWER_RATE}"),
        ([0.86, 0.025, 0.0009], "training loss collapsed: 0.00090, required ≥ 0.001 before epoch 10 (epoch 3): check "),
        (
            [*HEALTHY[:8], 0.0005],
            "training loss collapsed: 0.00050, required ≥ 0.001 before epoch 10 (epoch 9): check ",
        ),
        (
            [2.0, 2.1, 2.2, 2.3, 2.4, 2.5],
            f"training loss rose for 5 epochs in a row, from 2.000 to 2.500, required < +1% (epoch 6){LOWER_RATE}",
        ),
        (
            [*HEALTHY, 1.6, 1.7, 1.8, 1.9, 2.0],
            f"training loss rose for 5 epochs in a row, from 1.550 to 2.000, required < +1% (epoch 15){LOWER_RATE}",
        ),
    ],
)
def test_a_lost_training_is_stopped_with_its_reason(losses: list[float], reason: str) -> None:
    stop = after_epochs(losses)
    assert stop is not None and stop.startswith(reason)


@pytest.mark.parametrize(
    "losses",
    [
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
def test_a_healthy_training_continues(losses: list[float]) -> None:
    assert after_epochs(losses) is None


def test_a_training_resumed_at_epoch_12_is_past_its_first_epochs() -> None:
    assert after_epochs([0.0005], first_epoch=12) is None
    assert after_epochs([0.0005], first_epoch=9) is not None


def test_the_caller_sets_the_limits() -> None:
    assert Aborts(LossLimits(max_loss=3.9)).after_epoch([4.0], 4.0) is not None
    assert Aborts().after_epoch([4.0], 4.0) is None


@pytest.mark.parametrize(
    ("loss", "norm", "reason"),
    [
        (math.nan, 1.0, "training loss nan"),
        (math.inf, 1.0, "training loss inf"),
        (2.0, math.nan, "gradient norm nan"),
        (2.0, math.inf, "gradient norm inf"),
    ],
)
def test_a_step_without_finite_figures_stops_a_training(loss: float, norm: float, reason: str) -> None:
    stop = Aborts().after_step(3, loss, norm)
    assert stop == ("aborted", f"{reason}, required finite (step 3){LOWER_RATE}")


def test_one_step_of_a_large_loss_and_gradient_stops_nothing() -> None:
    assert Aborts().after_step(3, 2157.0, 1e30) is None


def test_a_rule_is_silent_on_what_is_unknown() -> None:
    assert check_losses(Losses("step 1", None)) is None


def test_a_held_out_loss_above_its_best_is_a_warning_and_stops_nothing() -> None:
    aborts = Aborts()
    assert aborts.after_epoch([3.0, 2.0], held_out=1.93) is None
    assert aborts.warning(40, 1.93, 1.41, 12) == (
        "validation loss 1.93 at epoch 40 is 0.5 nats or more above its best, 1.41 at epoch 12: the model learns its "
        "text by heart: add entries, or pass on the best checkpoint (`pass_on: best`)"
    )


@pytest.mark.parametrize(
    ("held_out", "best"),
    [(4.65, None), (1.9, 1.41), (1.0, 1.41), (math.nan, 1.41)],
    ids=["the first epoch", "below the limit", "a new best", "no number"],
)
def test_a_held_out_loss_near_its_best_is_no_warning(held_out: float, best: float | None) -> None:
    assert Aborts().warning(40, held_out, best, 12 if best else None) is None


def test_a_warning_is_given_once_also_after_resuming() -> None:
    first, second = Aborts(), Aborts()
    assert first.warning(40, 1.93, 1.41, 12) is not None and first.warning(41, 2.5, 1.41, 12) is None
    second.memory = AbortMemory.from_json(first.memory.to_json())
    assert second.warning(42, 2.6, 1.41, 12) is None and Aborts().warning(42, 2.6, 1.41, 12) is not None


def after_epochs(losses: list[float], first_epoch: int = 1) -> str | None:
    """Return why a training is stopped after epochs of these mean losses."""
    stop = Aborts(first_epoch=first_epoch).after_epoch(losses, held_out=2.0)
    return stop.reason if stop else None


def falling(steps: int, seed: int = 0) -> list[float]:
    """Return the losses of a healthy run: falling, noisy, one batch in twelve replayed and 1 nat higher."""
    chance = random.Random(seed)
    return [
        4.5 * math.exp(-step / 100) + 0.4 + chance.gauss(0, 0.1) + (1.0 if step % 12 == 0 else 0.0)
        for step in range(steps)
    ]


def stopped_at(losses: list[float], aborts: Aborts | None = None) -> tuple[int, str] | None:
    """Return the step at which these losses, from step 1 on, stop a training, and why."""
    aborts = aborts or Aborts()
    for step, loss in enumerate(losses, start=1):
        if stop := aborts.after_step(step, loss, 1.0):
            return step, stop.reason
    return None


def test_a_healthy_run_with_a_few_wild_batches_continues() -> None:
    losses = falling(2000)
    for step in range(100, 2000, 20):
        losses[step] = 9.0
    assert stopped_at(losses) is None


def test_twenty_spikes_within_a_hundred_steps_stop_a_training() -> None:
    losses = [*falling(500), *[4.0] * 100]
    found = stopped_at(losses)
    assert found is not None
    step, reason = found
    assert step == 520
    assert reason.startswith("training loss spiked in 20 of the last 100 steps, required < 20 (step 520: 4.00, median ")
    assert reason.endswith("use a lower learning rate, or check the corpus")


def test_no_step_is_a_spike_without_enough_history() -> None:
    assert stopped_at([1.0] * 30 + [9.0] * 30) is None


def test_wild_losses_do_not_hide_later_spikes() -> None:
    """After ten huge losses, mean and standard deviation would not show another spike."""
    losses = falling(400)
    losses[300:380:8] = [14.0] * 10
    found = stopped_at([*losses, *[4.0] * 20], Aborts(LossLimits(max_loss=1e9)))
    assert found is not None and found[0] <= 420


def test_a_loss_that_is_nan_stops_a_training_and_is_not_remembered() -> None:
    aborts = Aborts()
    assert stopped_at(falling(200), aborts) is None
    before = aborts.memory
    stop = aborts.after_step(201, math.nan, 1.0)
    assert stop == ("aborted", f"training loss nan, required finite (step 201){LOWER_RATE}")
    assert aborts.memory == before
    assert aborts.after_step(202, 1.0, 1.0) is None


def test_a_mean_of_eight_steps_above_fifteen_has_diverged() -> None:
    found = stopped_at([4.0] * 10 + [16.0] * 7 + [20.0] * 10)
    assert found is not None
    assert found == (18, f"training loss diverged: 16.50, required ≤ 15 (step 18){LOWER_RATE}")


def test_the_abort_rules_resume_from_their_memory() -> None:
    losses = [*falling(490), *[4.0] * 100]
    whole = stopped_at(losses)
    first, second = Aborts(), Aborts()
    assert stopped_at(losses[:500], first) is None
    second.memory = AbortMemory.from_json(first.memory.to_json())
    found = stopped_at(losses[500:], second)
    assert whole is not None and found is not None
    assert 500 + found[0] == whole[0]
    assert first.memory != second.memory


def test_a_held_out_loss_that_is_inf_stops_a_training() -> None:
    stop = Aborts(first_epoch=3).after_epoch([2.0, 1.9], math.inf)
    assert stop == ("aborted", f"validation loss inf, required finite (epoch 4){LOWER_RATE}")


def test_a_phase_that_starts_above_fifteen_and_falls_is_healthy() -> None:
    aborts = Aborts()
    assert stopped_at([18.7 - 0.1 * step for step in range(150)], aborts) is None
    assert aborts.after_epoch([17.0], 16.0) is None
    assert aborts.after_epoch([19.0], 19.0) is not None


def test_a_phase_that_starts_above_fifteen_and_rises_has_diverged() -> None:
    found = stopped_at([18.7 + 0.1 * step for step in range(50)])
    assert found is not None and found[0] == 8
    assert found[1].startswith("training loss diverged: 19.05, required ≤ 18.7 ")
