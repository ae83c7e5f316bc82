"""The engine's path for a GPU: tested on a CPU as far as possible, the rest if there is a GPU."""

import copy
import json
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from hlx_model.model.sizes import SIZES
from hlx_model.model.transformer import Transformer
from hlx_model.training import engine as engines
from hlx_model.training.batches import Batch, Examples
from hlx_model.training.distributed import Ranks
from hlx_model.training.engine import Engine
from hlx_model.training.events import Recorded
from hlx_model.training.execution import ExecutionConfig
from hlx_model.training.loop import train
from hlx_model.training.plan import Overrides, plan_training
from hlx_model.training.settings import Settings
from tests.support.curriculum import CPU, QUICK

SETTINGS = Settings(
    phase=1, size="tiny", epochs=1, batch_size=8, seq_length=64, learning_rate=2e-3, warmup=0.1, mixed_precision=True
)
TEXTS = ["Search for documents", "Sort", "Count the items", "Delete old logs", "Map each song", "Filter active users"]
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU here")


def engine_of(
    execution: ExecutionConfig = CPU, settings: Settings = SETTINGS, steps: int = 60, device: str = "cpu"
) -> Engine:
    model = Transformer(SIZES[settings.size]).initialize(seed=0).to(device)
    return Engine(model, settings, steps, execution, Ranks(device))


def weights(engine: Engine) -> list[Tensor]:
    return copy.deepcopy([p.detach() for p in engine.parameters])


def same(one: list[Tensor], other: list[Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.fixture
def batch() -> Batch:
    return Batch(Examples(TEXTS, 64), torch.arange(len(TEXTS)))


@pytest.fixture
def fp16(monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine computes as on a GPU without bf16."""
    monkeypatch.setattr(engines, "precision_of", lambda device, *, mixed: torch.float16)


@pytest.fixture
def one_spoilt(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[bool]]:
    """Make the loss of each batch NaN for which this list contains True."""
    spoilt: list[bool] = []
    loss_of = engines.next_token_losses

    def loss(model: torch.nn.Module, ids_BT: Tensor) -> Tensor:
        return loss_of(model, ids_BT) * (math.nan if spoilt.pop(0) else 1.0)

    monkeypatch.setattr(engines, "next_token_losses", loss)
    yield spoilt
    assert not spoilt


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_steps_in_fp16_lower_the_loss(fp16: None, batch: Batch, optimizer: str) -> None:
    engine = engine_of(settings=replace(SETTINGS, optimizer=optimizer), steps=12)
    losses = [step.loss for step in engine.steps([batch] * 12, 0)]
    assert engine.scaler.is_enabled() and losses[-1] < 0.8 * losses[0]


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_an_overflow_in_fp16_skips_its_step_and_halves_the_scale(fp16: None, batch: Batch, optimizer: str) -> None:
    engine = engine_of(settings=replace(SETTINGS, optimizer=optimizer))
    engine.steps([batch], 0)
    before, moments = weights(engine), copy.deepcopy(engine.optimizers.state_dict())
    engine.scaler.update(2.0**40)  # fp16 ends at 65504
    (step,) = engine.steps([batch], 1)
    assert same(weights(engine), before)
    assert all(torch.equal(tensor, moments[name]) for name, tensor in engine.optimizers.state_dict().items())
    assert engine.scaler.get_scale() == 2.0**39
    assert math.isfinite(step.loss) and math.isfinite(step.gradient_norm)  # it is no reason to abort
    engine.scaler.update(2.0**10)
    engine.steps([batch], 2)
    assert not same(weights(engine), before)


def test_the_scale_of_fp16_gradients_is_restored(fp16: None, batch: Batch) -> None:
    engine = engine_of()
    engine.steps([batch], 0)
    engine.scaler.update(2.0**10)
    engine.steps([batch] * 2, 1)
    restored = engine_of()
    restored.model.load_state_dict(engine.model.state_dict())
    restored.optimizers.load_state_dict(
        {name: tensor.clone() for name, tensor in engine.optimizers.state_dict().items()}
    )
    restored.scaler.load_state_dict(json.loads(json.dumps(engine.scaler.state_dict())))
    assert (
        restored.scaler.state_dict() == engine.scaler.state_dict()
        and restored.scaler.state_dict()["_growth_tracker"] == 3
    )  # steps without an overflow
    assert restored.steps([batch] * 2, 3) == engine.steps([batch] * 2, 3)
    assert restored.scaler.state_dict() == engine.scaler.state_dict() and same(weights(restored), weights(engine))


@pytest.mark.parametrize("spoilt", [0, 2, 4])
def test_after_a_nan_batch_no_step_of_its_stride_changes_a_weight(
    batch: Batch, one_spoilt: list[bool], spoilt: int
) -> None:
    clean, engine = engine_of(), engine_of()
    engine.stride = 16  # as on a GPU, which is not asked in between
    one_spoilt += [False] * spoilt
    before = clean.steps([batch] * spoilt, 0) if spoilt else []
    one_spoilt += [i == spoilt for i in range(5)]
    steps = engine.steps([batch] * 5, 0)
    assert steps[:spoilt] == before
    assert math.isnan(steps[spoilt].loss) and math.isnan(steps[spoilt].gradient_norm)
    assert same(weights(engine), weights(clean))


@pytest.mark.parametrize("mixed", [False, True])
@pytest.mark.parametrize(
    "execution",
    [
        ExecutionConfig("cpu", gradient_checkpointing=True),
        ExecutionConfig("cpu", accumulation=2),
        ExecutionConfig("cpu", gradient_checkpointing=True, accumulation=3),
        ExecutionConfig("cpu", accumulation=100),
    ],
    ids=str,
)
def test_less_memory_gives_the_same_loss_and_gradients(batch: Batch, execution: ExecutionConfig, mixed: bool) -> None:
    settings = replace(SETTINGS, mixed_precision=mixed)
    plain, other = engine_of(settings=settings), engine_of(execution, settings)
    (one,), (two,) = plain.steps([batch], 0), other.steps([batch], 0)
    assert two.loss == pytest.approx(one.loss, rel=1e-5 if plain.precision is torch.float32 else 2e-3)
    gradients = [[p.grad for p in engine.parameters if p.grad is not None] for engine in (plain, other)]
    assert len(gradients[0]) == len(plain.parameters)
    if execution.accumulation == 1:
        assert one == two and same(*gradients)  # the same operations: the same bytes
    for a, b in zip(*gradients, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-5 if plain.precision is torch.float32 else 2e-2)


@needs_gpu
@pytest.mark.gpu
@pytest.mark.parametrize("execution", [{}, {"gradient_checkpointing": True, "accumulation": 2}], ids=str)
def test_a_training_on_a_gpu_in_mixed_precision_learns(
    small_document: Path, tmp_path: Path, execution: dict[str, int]
) -> None:
    on_gpu = ExecutionConfig("cuda", **execution)  # type: ignore[arg-type]
    plan = plan_training(
        1, QUICK, Overrides(epochs=10, batch_size=1, learning_rate=3e-3, mixed_precision=True),
        corpus=[small_document], training=tmp_path / "training", execution=on_gpu,
    )  # fmt: skip
    losses: list[float] = []
    outcome = train(
        plan, execution=on_gpu,
        emit=lambda event: losses.append(event.row["train_loss"]) if isinstance(event, Recorded) else None,
    )  # fmt: skip
    assert outcome.manifest.stopped is None and losses[-1] < 0.5 * losses[0]


@needs_gpu
@pytest.mark.gpu
def test_no_step_on_a_gpu_waits_for_it(batch: Batch) -> None:
    engine = engine_of(ExecutionConfig("cuda"), device="cuda")
    assert engine.precision is torch.bfloat16, "fp16's scaler waits at each step"
    engine.steps([batch] * 2, 0)  # the first one makes the moments
    torch.cuda.set_sync_debug_mode("error")
    try:
        for number in range(2, 6):
            engine._step(batch, number)
    finally:
        torch.cuda.set_sync_debug_mode("default")
