"""The optimizers follow their learning rate, and are restored exactly."""

import math

import pytest
import torch

from hlx_model.model.sizes import SIZES
from hlx_model.model.transformer import Transformer
from hlx_model.training.optimizers import MUON_RATE, Fp32Muon, Optimizers
from hlx_model.training.settings import Settings

SETTINGS = Settings(phase=1, size="tiny", epochs=1, batch_size=8, seq_length=64, learning_rate=2e-3, warmup=0.1)


@pytest.fixture
def model() -> Transformer:
    return Transformer(SIZES["tiny"]).initialize(seed=0)


def test_the_learning_rate_rises_to_its_peak_then_falls_to_zero(model: Transformer) -> None:
    rate = Optimizers(model, SETTINGS, steps=200).learning_rate
    assert [rate(step) for step in (0, 9, 19)] == pytest.approx([1e-4, 1e-3, 2e-3])
    assert rate(20) == pytest.approx(2e-3)
    assert rate(110) == pytest.approx(1e-3)  # halfway down
    assert rate(65) == pytest.approx(1e-3 * (1 + math.sqrt(0.5)))
    falling = [rate(step) for step in range(20, 201)]
    assert falling == sorted(falling, reverse=True)
    assert rate(200) == rate(250) == 0.0


@pytest.mark.parametrize("steps", [1, 2])
def test_a_training_of_a_step_or_two_has_a_learning_rate(model: Transformer, steps: int) -> None:
    assert Optimizers(model, SETTINGS, steps).learning_rate(0) == SETTINGS.learning_rate


@pytest.mark.parametrize("parts", [1, 2, 3])
def test_every_weight_has_one_optimizer_however_many_share_the_matrices(model: Transformer, parts: int) -> None:
    muon = Settings(1, "tiny", 1, 8, 64, 2e-3, optimizer="muon")
    optimizers = Optimizers(model, muon, 10, parts=parts)
    held = [p for o in optimizers.all for group in o.param_groups for p in group["params"]]
    memory = {(p.data_ptr(), p.numel()) for p in held}
    assert len(memory) == len(held)
    assert sum(numbers for _, numbers in memory) == sum(p.numel() for p in model.parameters())
    assert len(optimizers.muons) == parts
    assert {p.shape for o in optimizers.muons for group in o.param_groups for p in group["params"]} == {
        torch.Size(shape) for shape in ((128, 128), (512, 128), (128, 512))
    }


def test_muon_changes_queries_keys_and_values_each_for_itself(model: Transformer) -> None:
    settings = Settings(1, "tiny", 1, 8, 64, 2e-3, optimizer="muon")
    fused = dict(model.named_parameters())["transformer.layers.0.self_attn.in_proj_weight"]
    alone = [torch.nn.Parameter(part.clone()) for part in fused.data.chunk(3)]
    optimizers = Optimizers(model, settings, steps=1)
    muon = type(optimizers.muons[0])
    reference = muon(alone, lr=MUON_RATE * settings.learning_rate, weight_decay=settings.weight_decay)
    gradient = torch.cat([torch.randn(128, 128) * 1000, torch.randn(256, 128)])
    for parameter in model.parameters():
        parameter.grad = gradient.clone() if parameter is fused else torch.randn_like(parameter)
    for part, of_part in zip(alone, gradient.chunk(3), strict=True):
        part.grad = of_part
    optimizers.take_gradients()
    optimizers.set_rate(0)
    optimizers.step()
    reference.step()  # type: ignore[no-untyped-call]
    assert torch.equal(fused.data, torch.cat([part.data for part in alone]))


def test_the_moments_of_a_fused_projection_in_an_older_checkpoint_are_restored(model: Transformer) -> None:
    settings = Settings(1, "tiny", 1, 8, 64, 2e-3, optimizer="muon")
    before, after = Optimizers(model, settings, steps=2), Optimizers(model, settings, steps=2)
    for parameter in model.parameters():
        parameter.grad = torch.randn_like(parameter)
    before.take_gradients()
    before.step()
    now = before.state_dict()
    older = {name: value for name, value in now.items() if "in_proj_weight" not in name}
    for fused in {name.rpartition("in_proj_weight")[0] + "in_proj_weight" for name in now.keys() - older.keys()}:
        parts = [now[f"{fused}.{block}.momentum_buffer"] for block in ("query", "key", "value")]
        older[f"{fused}.momentum_buffer"] = torch.cat(parts)
    after.load_state_dict(older)
    restored = after.state_dict()
    assert restored.keys() == now.keys() and all(torch.equal(restored[name], now[name]) for name in now)


@pytest.mark.parametrize(("precision", "muon"), [(torch.bfloat16, torch.optim.Muon), (torch.float32, Fp32Muon)])
def test_muon_computes_in_bf16_only_if_the_device_has_it(
    model: Transformer, monkeypatch: pytest.MonkeyPatch, precision: torch.dtype, muon: type[torch.optim.Muon]
) -> None:
    monkeypatch.setattr("hlx_model.training.optimizers.precision_of", lambda device, *, mixed: precision)
    settings = Settings(1, "tiny", 1, 8, 64, 2e-3, optimizer="muon", mixed_precision=False)
    assert [type(one) for one in Optimizers(model, settings, steps=1).muons] == [muon]


def test_muon_in_fp32_changes_weights_as_torch_does_in_bf16_but_for_rounding() -> None:
    changed = []
    gradient = torch.randn(96, 64, generator=torch.Generator().manual_seed(0))
    for muon in (torch.optim.Muon, Fp32Muon):
        weights = torch.nn.Parameter(torch.zeros(96, 64))
        weights.grad = gradient.clone()
        muon([weights], lr=1.0, weight_decay=0.0).step()  # type: ignore[no-untyped-call]
        changed.append(weights.detach())
    in_bf16, in_fp32 = changed
    assert (in_bf16 - in_fp32).norm() < 0.02 * in_fp32.norm()
    assert not torch.equal(in_fp32, in_bf16)
