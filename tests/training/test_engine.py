"""One step gives the same result, whatever computes it."""

import copy
import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from hlx_model.model.device import threads
from hlx_model.model.sizes import SIZES
from hlx_model.model.tokenizer import PAD, VOCABULARY_SIZE
from hlx_model.model.transformer import Cache, Transformer
from hlx_model.training.batches import Batch, Examples, TokenWeights
from hlx_model.training.distributed import Ranks
from hlx_model.training.engine import Engine, Step, next_token_losses
from hlx_model.training.settings import Settings
from tests.support.curriculum import CPU

SETTINGS = Settings(phase=1, size="tiny", epochs=1, batch_size=8, seq_length=64, learning_rate=2e-3, warmup=0.1)
TEXTS = ["Search for documents", "Sort", "Count the items"]


class Successor(Transformer):
    """Predicts with certainty that after symbol n comes n + `by`."""

    def __init__(self, by: int) -> None:
        super().__init__(SIZES["tiny"])
        self.by = by

    def forward(self, tokens_BT: Tensor, cache: Cache | None = None) -> Tensor:
        return 50.0 * F.one_hot((tokens_BT + self.by) % VOCABULARY_SIZE, VOCABULARY_SIZE)


@pytest.fixture
def model() -> Transformer:
    return Transformer(SIZES["tiny"]).initialize(seed=0)


@pytest.fixture
def batch() -> Batch:
    return Batch(Examples(TEXTS, 64), torch.arange(3))


def engine_of(model: Transformer, settings: Settings = SETTINGS, steps: int = 30) -> Engine:
    return Engine(model, settings, steps, CPU, Ranks("cpu"))


def step(engine: Engine, batch: Batch, number: int = 0) -> Step:
    (done,) = engine.steps([batch], number)
    return done


COUNTING = torch.tensor([[1, 2, 3, 4, 5], [7, 8, 9, PAD, PAD]])


def test_the_label_of_a_position_is_the_token_after_it() -> None:
    assert next_token_losses(Successor(1), COUNTING).tolist() == [[0.0] * 4] * 2


def test_a_model_that_repeats_the_current_token_is_wrong_at_every_real_token() -> None:
    assert next_token_losses(Successor(0), COUNTING).tolist() == [[50.0] * 4, [50.0, 50.0, 0.0, 0.0]]


def test_the_loss_of_a_step_is_the_mean_cross_entropy_of_real_tokens(model: Transformer, batch: Batch) -> None:
    ids = batch.ids()
    with torch.no_grad():
        probabilities = torch.softmax(model(ids), dim=-1)
    surprises = [
        -math.log(float(probabilities[row, t, ids[row, t + 1]]))
        for row in range(3)
        for t in range(ids.shape[1] - 1)
        if ids[row, t + 1] != PAD
    ]
    assert batch.tokens == len(surprises) == 21 + 5 + 16
    assert step(engine_of(model), batch).loss == pytest.approx(sum(surprises) / len(surprises), rel=1e-5)


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
@pytest.mark.parametrize("mixed", [False, True])
def test_steps_lower_the_loss(model: Transformer, batch: Batch, optimizer: str, mixed: bool) -> None:
    engine = engine_of(model, replace(SETTINGS, optimizer=optimizer, mixed_precision=mixed))
    losses = [step(engine, batch, number).loss for number in range(30)]
    assert losses[-1] < 0.5 * losses[0]


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_a_loss_that_is_nan_is_reported_and_changes_no_weight(model: Transformer, batch: Batch, optimizer: str) -> None:
    engine = engine_of(model, replace(SETTINGS, optimizer=optimizer))
    step(engine, batch)
    with torch.no_grad():
        model.transformer.layers[1].get_parameter("linear1.weight")[3, 5] = math.nan
    before, moments = copy.deepcopy(model.state_dict()), copy.deepcopy(engine.optimizers.state_dict())
    assert math.isnan(step(engine, batch, 7).loss)
    assert all(torch.equal(t.nan_to_num(), before[name].nan_to_num()) for name, t in model.state_dict().items())
    assert all(torch.equal(t, moments[name]) for name, t in engine.optimizers.state_dict().items())


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_a_restored_engine_gives_the_same_bytes(model: Transformer, batch: Batch, optimizer: str) -> None:
    settings = replace(SETTINGS, optimizer=optimizer, mixed_precision=True)
    engine = engine_of(model, settings)
    for number in range(3):
        step(engine, batch, number)
    other = Transformer(SIZES["tiny"])
    other.load_state_dict(model.state_dict())
    restored = engine_of(other, settings)
    restored.optimizers.load_state_dict(
        {name: tensor.clone() for name, tensor in engine.optimizers.state_dict().items()}
    )
    for number in range(3, 5):
        assert step(engine, batch, number) == step(restored, batch, number)
    assert all(torch.equal(tensor, other.state_dict()[name]) for name, tensor in model.state_dict().items())


def test_the_optimizers_state_is_two_moments_of_every_weight_and_counts(model: Transformer, batch: Batch) -> None:
    engine = engine_of(model)
    step(engine, batch)
    sizes = {n: tensor.numel() for n, tensor in engine.optimizers.state_dict().items() if not n.endswith(".step")}
    assert sum(sizes.values()) == 2 * 492_149


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_threads_that_share_a_batch_give_the_result_of_one(batch: Batch, optimizer: str) -> None:
    settings = replace(SETTINGS, optimizer=optimizer, batch_size=4, seq_length=256)
    losses: dict[int, list[float]] = {}
    weights: list[dict[str, Tensor]] = []
    for cores in (1, 2, 2):
        model = Transformer(SIZES["tiny"]).initialize(seed=0)
        with threads(cores):
            engine = engine_of(model, settings)
            assert engine.workers == cores
            with engine.active():
                losses[cores] = [step(engine, batch, number).loss for number in range(5)]
        weights.append(copy.deepcopy(model.state_dict()))
    assert losses[1] == pytest.approx(losses[2], rel=1e-5)
    assert all(torch.equal(weights[1][name], weights[2][name]) for name in weights[1])  # the same bytes each time


@pytest.mark.parametrize(
    ("size", "batch_size", "workers", "threads_each"),
    [("tiny", 2, 1, 1), ("tiny", 32, 4, 1), ("10m", 2, 1, 4), ("10m", 4, 2, 2)],
)
def test_a_small_model_never_shares_an_operation_between_threads(
    size: str, batch_size: int, workers: int, threads_each: int
) -> None:
    """Two threads on one small operation wait for each other, and become very slow if another program uses a core."""
    settings = replace(SETTINGS, size=size, batch_size=batch_size, seq_length=256)
    with threads(4):
        engine = engine_of(Transformer(SIZES[size]), settings)
    assert (engine.workers, engine.threads) == (workers, threads_each)


def test_a_batch_of_fewer_rows_than_threads_is_computed(model: Transformer) -> None:
    with threads(2):
        engine = engine_of(model, replace(SETTINGS, seq_length=256))
        with engine.active():
            assert step(engine, Batch(Examples(["Sort"], 64), torch.arange(1))).loss > 0


PAIRS = ["[HLXL] Sort → 5", "[LC-T] Count → {a}", "Sort"]


def test_prompts_lose_their_weight_early_in_a_training() -> None:
    optimizers = engine_of(Transformer(SIZES["tiny"]), replace(SETTINGS, prompt_weight=0.1), steps=200).optimizers
    assert [optimizers.prompt_weight(step) for step in (0, 10, 45, 80, 199)] == pytest.approx([1, 1, 0.55, 0.1, 0.1])


def test_a_text_without_a_prompt_is_learned_whole() -> None:
    batch = Batch(Examples(PAIRS, 64), torch.arange(3))
    assert batch.weights(19, TokenWeights(0.5, 0.1))[:, [0, 13, 14, 15, 18]].tolist() == [
        [0.5, 0.5, 1, 1, 1], [0.5, 0.5, 0.5, 1, 1], [1, 1, 1, 1, 1],
    ]  # fmt: skip


def test_the_weights_of_a_batch_are_those_of_its_tokens_together() -> None:
    """An answer ends with `<EOS>`; a sentence that begins as a prompt for English does is no answer."""
    texts = ["[English] 5 → Five", "[HLXL] Five → 5", "[English] breakfast", "Sort"]
    batch = Batch(Examples(texts, 64), torch.arange(4))
    weights = TokenWeights(prompt=0.25, english=0.5)
    longest = int(batch.examples.lengths.max()) - 1
    real_BT = torch.arange(longest) < batch.examples.lengths[:, None] - 1
    of_tokens_BT = batch.weights(longest, weights) * real_BT
    prompts = len("[English] 5 → ") + len("[HLXL] Five → ")
    assert of_tokens_BT.sum(1).tolist() == [14 * 0.25 + 5 * 0.5, 14 * 0.25 + 2, len(texts[2]) + 1, len(texts[3]) + 1]
    assert batch.weight(weights) == of_tokens_BT.sum() == prompts * 0.25 + 5 * 0.5 + 2 + 20 + 5
    assert batch.weight(TokenWeights()) == batch.tokens


@pytest.mark.parametrize("cores", [1, 2])
def test_the_reported_loss_is_the_mean_whatever_prompts_weigh(cores: int) -> None:
    batch = Batch(Examples(PAIRS, 64), torch.arange(3))
    told, moved = [], []
    for weight in (1.0, 0.0):
        model = Transformer(SIZES["tiny"]).initialize(seed=0)
        with threads(cores):
            engine = engine_of(model, replace(SETTINGS, prompt_weight=weight, seq_length=256), steps=10)
            with engine.active():
                told.append(step(engine, batch, 9).loss)
        moved.append(model.output_projection.bias.detach().clone())
    assert told[0] == pytest.approx(told[1], rel=1e-6)
    assert not torch.equal(*moved)


def test_if_prompts_have_weight_0_only_answers_are_learned() -> None:
    model = Transformer(SIZES["tiny"]).initialize(seed=0)
    engine = engine_of(model, replace(SETTINGS, prompt_weight=0.0), steps=10)
    batch = Batch(Examples(PAIRS[:1], 64), torch.arange(1))
    engine._gradients(batch, TokenWeights(prompt=0.0))
    found = model.output_projection.bias.grad
    assert found is not None
    ids = batch.ids()
    losses = next_token_losses(model, ids)[0, len("[HLXL] Sort → ") : len(PAIRS[0]) + 1]
    (expected,) = torch.autograd.grad(losses.mean(), [model.output_projection.bias])
    assert torch.allclose(found, expected, atol=1e-6)
