"""What one step of the optimizer promises."""

import copy
import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from hlx_model.tokenizer import PAD, VOCABULARY_SIZE
from hlx_model.training.batches import Examples
from hlx_model.training.optimization import NotFinite, Optimization, next_token_loss
from hlx_model.training.settings import Settings
from hlx_model.transformer import SIZES, Cache, Transformer

SETTINGS = Settings(phase=1, size="tiny", epochs=1, batch_size=8, seq_length=64, learning_rate=2e-3, warmup=0.1)


class Successor(Transformer):
    """Is sure that after symbol n comes n + `by`."""

    def __init__(self, by: int) -> None:
        super().__init__(SIZES["tiny"])
        self.by = by

    def forward(self, tokens_BT: Tensor, cache: Cache | None = None) -> Tensor:
        return 50.0 * F.one_hot((tokens_BT + self.by) % VOCABULARY_SIZE, VOCABULARY_SIZE)


@pytest.fixture
def model() -> Transformer:
    return Transformer(SIZES["tiny"]).initialize(seed=0)


@pytest.fixture
def ids() -> Tensor:
    texts = ["Search for documents", "Sort", "Count the items"]
    return Examples(texts, 64).batch(torch.arange(3))


COUNTING = torch.tensor([[1, 2, 3, 4, 5], [7, 8, 9, PAD, PAD]])


def test_the_label_of_a_position_is_the_token_after_it() -> None:
    loss, tokens = next_token_loss(Successor(1), COUNTING)
    assert float(loss) == pytest.approx(0.0, abs=1e-6)
    assert int(tokens) == 6  # padding is no label


def test_a_model_that_repeats_the_current_token_is_wrong_everywhere() -> None:
    assert float(next_token_loss(Successor(0), COUNTING)[0]) == pytest.approx(50.0)


def test_the_loss_is_the_mean_cross_entropy_of_the_real_tokens(model: Transformer, ids: Tensor) -> None:
    loss, tokens = next_token_loss(model, ids)
    with torch.no_grad():
        probabilities = torch.softmax(model(ids), dim=-1)
    surprises = [
        -math.log(float(probabilities[row, t, ids[row, t + 1]]))
        for row in range(3)
        for t in range(ids.shape[1] - 1)
        if ids[row, t + 1] != PAD
    ]
    assert int(tokens) == len(surprises) == 21 + 5 + 16
    assert float(loss.detach()) == pytest.approx(sum(surprises) / len(surprises), rel=1e-5)


def test_the_learning_rate_climbs_to_its_peak_and_a_cosine_takes_it_down_to_zero(model: Transformer) -> None:
    rate = Optimization(model, SETTINGS, steps=200, device="cpu").learning_rate
    assert [rate(step) for step in (0, 9, 19)] == pytest.approx([1e-4, 1e-3, 2e-3])
    assert rate(20) == pytest.approx(2e-3)
    assert rate(110) == pytest.approx(1e-3)  # halfway down
    assert rate(65) == pytest.approx(1e-3 * (1 + math.sqrt(0.5)))
    falling = [rate(step) for step in range(20, 201)]
    assert falling == sorted(falling, reverse=True)
    assert rate(200) == rate(250) == 0.0


@pytest.mark.parametrize("steps", [1, 2])
def test_a_training_of_a_step_or_two_has_a_learning_rate(model: Transformer, steps: int) -> None:
    assert Optimization(model, SETTINGS, steps, device="cpu").learning_rate(0) == SETTINGS.learning_rate


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_steps_lower_the_loss(model: Transformer, ids: Tensor, optimizer: str) -> None:
    optimization = Optimization(model, replace(SETTINGS, optimizer=optimizer), steps=30, device="cpu")
    losses = [optimization.step(ids, step)[0] for step in range(30)]
    assert losses[-1] < 0.5 * losses[0]


def test_the_loss_that_a_step_reports_is_the_one_before_it(model: Transformer, ids: Tensor) -> None:
    before, tokens = next_token_loss(model, ids)
    assert Optimization(model, SETTINGS, 1, "cpu").step(ids, 0) == (float(before.detach()), int(tokens))


def test_a_loss_that_is_no_number_is_raised_before_any_weight_changes(model: Transformer, ids: Tensor) -> None:
    with torch.no_grad():
        model.transformer.layers[1].get_parameter("linear1.weight")[3, 5] = math.nan
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(NotFinite, match="training loss is nan at step 8: use a lower learning rate"):
        Optimization(model, SETTINGS, 30, "cpu").step(ids, 7)
    assert all(torch.equal(t.nan_to_num(), before[name].nan_to_num()) for name, t in model.state_dict().items())


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_a_restored_optimizer_goes_on_to_the_same_bytes(model: Transformer, ids: Tensor, optimizer: str) -> None:
    settings = replace(SETTINGS, optimizer=optimizer)
    optimization = Optimization(model, settings, 10, "cpu")
    for step in range(3):
        optimization.step(ids, step)
    other = Transformer(SIZES["tiny"])
    other.load_state_dict(model.state_dict())
    restored = Optimization(other, settings, 10, "cpu")
    restored.load({name: tensor.clone() for name, tensor in optimization.state().items()})
    for step in range(3, 5):
        assert optimization.step(ids, step) == restored.step(ids, step)
    assert all(torch.equal(tensor, other.state_dict()[name]) for name, tensor in model.state_dict().items())


def test_the_optimizers_state_is_two_moments_of_every_weight_and_counts(model: Transformer, ids: Tensor) -> None:
    optimization = Optimization(model, SETTINGS, 10, "cpu")
    optimization.step(ids, 0)
    sizes = {name: tensor.numel() for name, tensor in optimization.state().items() if not name.endswith(".step")}
    assert sum(sizes.values()) == 2 * 492_149
