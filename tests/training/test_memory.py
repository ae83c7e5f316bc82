"""The memory of a training is estimated before it starts; if it does not fit, advice is given."""

import gc
import inspect
import json
import logging
import re
import shutil
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.profiler import ProfilerActivity, profile

from hlx_model.checkpoints.seal import list_checkpoints, verify_checkpoint
from hlx_model.evaluation.losses import predict
from hlx_model.model.device import attention_kernel, threads
from hlx_model.model.sizes import SIZES
from hlx_model.model.transformer import Transformer
from hlx_model.training import memory, saver
from hlx_model.training.batches import Batch, Examples
from hlx_model.training.distributed import Ranks
from hlx_model.training.engine import Engine, next_token_losses
from hlx_model.training.execution import ExecutionConfig
from hlx_model.training.forecast import TRIED_STEPS
from hlx_model.training.memory import (
    GIB,
    DoesNotFit,
    OutOfMemory,
    advice,
    autocast_copy_bytes,
    estimate_memory,
    require_disk,
    require_memory,
    saved_activation_bytes,
)
from hlx_model.training.settings import Settings
from tests.support.command import Hlx
from tests.support.curriculum import CPU, Curriculum
from tests.support.processes import beat_in

FP32, BF16 = torch.float32, torch.bfloat16


class OnGpu(ExecutionConfig):
    """Settings of a GPU that this machine need not have."""

    def __post_init__(self) -> None:
        pass


def settings_of(size: str, batch_size: int = 4, seq_length: int = 256, **others: Any) -> Settings:
    return Settings(1, size, 1, batch_size, seq_length, 1e-4, **others)


def saved(size: str, batch: int, length: int, precision: torch.dtype, *, plain: bool, checkpointing: bool) -> int:
    """Return the bytes that autograd saves of one forward pass, without the parameters."""
    model = Transformer(SIZES[size]).initialize(0)
    model.gradient_checkpointing = checkpointing
    parameters = {p.untyped_storage().data_ptr() for p in model.parameters()}
    found: dict[int, torch.UntypedStorage] = {}  # held on to, so that no address comes twice

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in parameters:
            found[storage.data_ptr()] = storage
        return tensor

    with (
        attention_kernel("cpu") if plain else sdpa_kernel(SDPBackend.FLASH_ATTENTION),
        torch.autocast("cpu", dtype=precision) if precision is not FP32 else nullcontext(),
        torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor),
    ):
        next_token_losses(model, torch.randint(1, 100, (batch, length + 1)))
    return sum(storage.nbytes() for storage in found.values())


@pytest.mark.parametrize("plain", [True, False], ids=["plain attention", "flash attention"])
@pytest.mark.parametrize("checkpointing", [False, True], ids=["", "checkpointing"])
@pytest.mark.parametrize("precision", [FP32, BF16], ids=["fp32", "bf16"])
@pytest.mark.parametrize(
    ("size", "batch", "length"), [("tiny", 4, 256), ("tiny", 16, 64), ("10m", 4, 256), ("10m", 2, 512), ("10m", 24, 64)]
)
def test_autograd_saves_what_was_estimated(
    size: str, batch: int, length: int, precision: torch.dtype, checkpointing: bool, plain: bool
) -> None:
    a = SIZES[size]
    reckoned = batch * length * saved_activation_bytes(a, length, precision, plain=plain, checkpointing=checkpointing)
    # With checkpointing a layer's copies go with its activations; the head's alone stay.
    reckoned += 0 if checkpointing else autocast_copy_bytes(a, precision)
    measured = saved(size, batch, length, precision, plain=plain, checkpointing=checkpointing)
    assert 0.95 * measured <= reckoned <= 1.15 * measured


@pytest.mark.parametrize(
    ("size", "batch", "mixed", "execution"),
    [
        ("tiny", 8, False, CPU),
        ("tiny", 8, True, CPU),
        ("tiny", 8, False, ExecutionConfig("cpu", gradient_checkpointing=True)),
        ("10m", 4, True, ExecutionConfig("cpu", accumulation=2)),
    ],
)
def test_no_step_allocates_more_than_estimated(
    size: str, batch: int, mixed: bool, execution: ExecutionConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "EVALUATED", 0)  # nothing is evaluated in a step
    settings = settings_of(size, batch, mixed_precision=mixed)
    examples = Examples(["x" * 254] * batch, 256)
    gc.collect()
    with threads(1), profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
        engine = Engine(Transformer(SIZES[size]).initialize(0), settings, 10, execution, Ranks("cpu"))
        with engine.active():
            engine.steps([Batch(examples, torch.arange(batch))] * 2, 0)
        reckoned = estimate_memory(settings, execution)
    profiled.export_chrome_trace(str(tmp_path / "trace.json"))
    events = json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    figures = [event["args"] for event in events if event.get("name") == "[memory]"]
    before = figures[0]["Total Allocated"] - figures[0]["Bytes"]  # torch counts on from one profile to the next
    peak = max(figure["Total Allocated"] for figure in figures) - before
    assert 0.98 * peak <= reckoned.total - reckoned.reserved <= 1.3 * peak


def test_each_thread_that_shares_a_batch_has_its_own_gradients() -> None:
    with threads(1):
        one = estimate_memory(settings_of("10m"), CPU)
    with threads(2):
        two = estimate_memory(settings_of("10m"), CPU)
    assert two.gradients == 2 * one.gradients and two.activations == one.activations


def test_an_evaluation_reads_as_many_tokens_at_once_as_estimated() -> None:
    assert inspect.signature(predict).parameters["max_tokens"].default == memory.EVALUATED


@pytest.fixture
def bf16_gpu(monkeypatch: pytest.MonkeyPatch) -> Callable[..., ExecutionConfig]:
    """Return a function that makes settings of a GPU with so many GiB and bf16."""
    monkeypatch.setattr(memory, "precision_of", lambda device, *, mixed: BF16 if mixed else FP32)
    return lambda limit, **others: OnGpu("cuda", memory_limit=limit, **others)


class Case(NamedTuple):
    """A training, the GiB available, and the advice; "" if it fits as it is."""

    size: str
    limit: float
    batch_size: int
    advised: str


@pytest.mark.parametrize(
    "case",
    [
        Case("100m", 8, 4, ""),
        Case("100m", 8, 64, ""),
        Case("100m", 4, 64, "--gradient-checkpointing"),
        Case("250m", 8, 4, ""),
        Case("250m", 8, 64, "--gradient-checkpointing"),
        Case("500m", 8, 4, "--size 250m"),
        Case("1b", 4, 4, "--size 100m"),
        Case("1b", 8, 4, "--size 250m"),
        Case("1b", 8, 64, "--gradient-checkpointing --size 250m"),
        Case("1b", 24, 4, ""),
        Case("1b", 24, 64, "--gradient-checkpointing"),
        Case("1b", 20, 64, "--gradient-checkpointing --accumulation 2"),
        Case("1b", 80, 64, ""),
    ],
)
def test_what_is_advised_fits(case: Case, bf16_gpu: Callable[..., ExecutionConfig]) -> None:
    settings = settings_of(case.size, case.batch_size, mixed_precision=True)
    if not case.advised:
        return require_memory(settings, bf16_gpu(case.limit))
    with pytest.raises(DoesNotFit, match=r"needs .* GiB available: (--.*) would need") as refused:
        require_memory(settings, bf16_gpu(case.limit))
    assert f": {case.advised} would need" in str(refused.value)
    size = re.search(r"--size (\w+)", case.advised)
    parts = re.search(r"--accumulation (\d+)", case.advised)
    taken = settings_of(size[1] if size else case.size, case.batch_size, mixed_precision=True)
    execution = bf16_gpu(
        case.limit, gradient_checkpointing="checkpointing" in case.advised, accumulation=int(parts[1]) if parts else 1
    )
    require_memory(taken, execution)
    return None


def test_the_production_profile_fits_an_8_gib_gpu(bf16_gpu: Callable[..., ExecutionConfig]) -> None:
    production = settings_of("100m", 4, mixed_precision=True)
    require_memory(production, bf16_gpu(8, gradient_checkpointing=True))
    assert estimate_memory(production, bf16_gpu(8, gradient_checkpointing=True)).total < 3 * GIB


def test_no_other_size_is_advised_if_the_parent_fixes_it(bf16_gpu: Callable[..., ExecutionConfig]) -> None:
    with pytest.raises(DoesNotFit, match=r"this size does not fit, and another one starts at phase 1$"):
        require_memory(settings_of("1b"), bf16_gpu(8), size_fixed=True)


def test_a_size_that_does_not_fit_is_refused_before_the_corpus_is_read(hlx: Hlx, tmp_path: Path) -> None:
    ran = hlx(
        "train", "--phase", 1, "--size", "1b", "--memory-limit", 8, "--device", "cpu",
        "--corpus", tmp_path / "absent.md", "--checkpoint-dir", tmp_path / "training",
    )  # fmt: skip
    assert ran.code == 1
    assert re.search(r"1b with .* needs [\d.]+ GiB .*, 8\.0 GiB available: .*--size 500m would need", ran.error)
    assert not (tmp_path / "training").exists()


def test_a_phase_with_a_parent_is_refused_without_another_size(
    hlx: Hlx, curriculum: Curriculum, tmp_path: Path
) -> None:
    ran = hlx(
        "train", "--phase", 2, "--resume-from", curriculum.phases[1].checkpoint, "--memory-limit", 0.01,
        "--device", "cpu", "--corpus", tmp_path / "absent.md", "--checkpoint-dir", tmp_path / "training",
    )  # fmt: skip
    assert ran.code == 1 and "this size does not fit" in ran.error and "--size" not in ran.error


def test_a_disk_that_cannot_hold_the_checkpoints_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings, directory = settings_of("tiny"), tmp_path / "training" / "id"
    asked, usage = memory.estimate_disk(settings), shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=int(asked) + 1))
    require_disk(settings, directory)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=int(asked) - 1000))
    with pytest.raises(
        DoesNotFit, match=r"the checkpoints of a tiny training of 1 epochs need up to .* available under"
    ):
        require_disk(settings, directory)
    directory.mkdir(parents=True)
    (directory / "what it has written").write_bytes(bytes(1001))
    require_disk(settings, directory)  # which goes on with what is there


def test_the_checkpoints_of_a_training_need_no_more_than_estimated(curriculum: Curriculum) -> None:
    for trained in curriculum.phases.values():
        taken = sum(path.stat().st_size for path in (trained.plan.directory / "checkpoints").rglob("*"))
        assert taken < memory.estimate_disk(trained.plan.settings)


@pytest.mark.parametrize("failing", [lambda: torch.empty(2**55), lambda: bytearray(2**62)], ids=["torch", "Python"])
def test_a_real_allocation_that_fails_gives_advice(failing: Callable[[], object]) -> None:
    said = r"out of memory: 10m .*: --gradient-checkpointing would need"
    with pytest.raises(OutOfMemory, match=said), memory.out_of_memory(settings_of("10m", 64), CPU):
        failing()


def test_another_error_is_not_changed() -> None:
    with pytest.raises(RuntimeError, match=r"^shapes$"), memory.out_of_memory(settings_of("10m"), CPU):
        raise RuntimeError("shapes")


@pytest.mark.parametrize("training", [True, False], ids=["in a step", "in an evaluation"])
def test_a_training_that_ran_out_of_memory_resumes_with_less(
    training: bool,
    hlx: Hlx,
    small_document: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    command = (
        "train", "--phase", 1, "--corpus", small_document, "--checkpoint-dir", tmp_path / "training",
        "--epochs", 2, "--batch-size", 1, "--device", "cpu",
    )  # fmt: skip
    monkeypatch.setenv("HLX_SAVE_SECONDS", "0")
    monkeypatch.setattr(saver, "SAVE_SHARE", 1e9)
    forward, passes = Transformer.forward, iter(range(100))

    def full(model: Transformer, tokens_BT: Tensor) -> Tensor:
        if model.training is training and next(passes) == (
            TRIED_STEPS + 3 if training else 1
        ):  # after those of the forecast
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 MiB.")
        return forward(model, tokens_BT)

    with monkeypatch.context() as patch:
        patch.setattr(Transformer, "forward", full)
        ran = hlx(*command)
    assert ran.code == 1 and ran.error.startswith("error: out of memory: tiny with batch size 1")
    assert "--gradient-checkpointing" in ran.error
    (directory,) = (tmp_path / "training").iterdir()
    beat = beat_in(directory)
    assert beat.status == "failed"
    assert beat.reason is not None and beat.reason.startswith("OutOfMemory: out of memory: tiny")
    last = max(list_checkpoints(directory / "checkpoints"), key=lambda path: verify_checkpoint(path).manifest.step)
    assert verify_checkpoint(last).manifest.step >= 3
    with caplog.at_level(logging.INFO, "hlx_model"):
        assert hlx(*command, "--gradient-checkpointing", "--accumulation", 2).code == 0
    assert f"resuming from {last.name}" in caplog.text
    assert [path.name for path in (tmp_path / "training").iterdir()] == [directory.name]  # the same training
    assert verify_checkpoint(directory / "checkpoints" / "phase1_FINAL_epoch2").manifest.stopped is None


def test_one_line_has_the_memory_needed_and_available() -> None:
    line = advice(settings_of("1b"), CPU, 8 * GIB, size_fixed=False)
    assert "\n" not in line
    assert re.match(r"1b with batch size 4 and sequence length 256 needs [\d.]+ GiB \(weights [\d.]+ GiB", line)
