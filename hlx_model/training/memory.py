"""Estimate how much memory and disk a training needs, and refuse it with advice if it does not fit.

    weights + gradients + moments + activations saved for the backward pass

The sum assumes that all exist at once, which is so from the second part of a batch on (`--accumulation`). In the first
part activations are freed as gradients are made, so the smaller of the two is too much; it covers the allocator's gaps.
`tests/training/test_memory.py` compares the terms with what autograd saves, and the sum with what torch allocates.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import NamedTuple

import psutil
import torch

from hlx_model.checkpoints.weights import EVERY_EPOCHS, ROLLING
from hlx_model.evaluation.milestones import MILESTONES
from hlx_model.model.device import precision_of
from hlx_model.model.sizes import SIZES, Architecture
from hlx_model.model.tokenizer import VOCABULARY_SIZE
from hlx_model.training.execution import ExecutionConfig
from hlx_model.training.host import available_host_memory
from hlx_model.training.settings import Settings

GIB = 1024**3
CUDA_CONTEXT = 0.7 * GIB
"""Bytes that CUDA, its libraries and the allocator's gaps need beside the tensors."""
CPU_LIBRARIES = 0.1 * GIB
CPU_GAPS = 0.5
"""Share of a pass's activations (checkpointed or not) that the C library's allocator keeps beside them: resident minus
allocated memory of 10m and 50m, eight settings. With MALLOC_MMAP_THRESHOLD_=131072 it keeps none, but is slower."""
EVALUATED = 8192
"""Tokens that an evaluation reads at once, in fp32: `predict`'s `max_tokens`."""
MIN_PART_TOKENS = 256
"""Tokens of the smallest part of a batch that is advised."""


class DoesNotFit(ValueError):
    """A training that needs more memory or disk space than available; `str()` is one line with what would fit."""


class OutOfMemory(RuntimeError):
    """The device ran out of memory during a training; `str()` is one line with what would fit."""


class MemoryEstimate(NamedTuple):
    """Bytes that a training needs at its peak, on each of its devices."""

    weights: float
    """Including the copies of the matrices that autocast makes."""
    gradients: float
    moments: float
    activations: float
    """Of a training step, or of an evaluation if that needs more."""
    reserved: float
    """Whatever is not a tensor."""

    @property
    def total(self) -> float:
        """Return the sum."""
        return sum(self)

    def __str__(self) -> str:
        return f"{gib(self.total)} ({', '.join(f'{part} {gib(size)}' for part, size in self._asdict().items())})"


def estimate_memory(settings: Settings, execution: ExecutionConfig) -> MemoryEstimate:
    """Estimate what a training needs at its peak on each of its devices."""
    a, on_cpu, length = SIZES[settings.size], execution.device == "cpu", settings.seq_length
    precision = precision_of(execution.device, mixed=settings.mixed_precision)
    tokens = settings.batch_size * length / execution.accumulation
    workers = execution.workers(int(tokens))
    # Each thread has its own gradients and copies; from the second part on they are added to the existing ones.
    gradients = workers + (workers > 1 and execution.accumulation > 1)
    muon = settings.optimizer == "muon"  # has one moment, AdamW two
    unchecked = saved_activation_bytes(a, length, precision, plain=on_cpu)
    recompute = execution.gradient_checkpointing
    saved = saved_activation_bytes(a, length, precision, plain=on_cpu, checkpointing=recompute)
    training = tokens * (saved + backward_temp_bytes(a, length, precision, plain=on_cpu, recompute=recompute))
    return MemoryEstimate(
        weights=4.0 * a.parameters + workers * autocast_copy_bytes(a, precision),
        gradients=4.0 * a.parameters * gradients,
        moments=8.0 * a.parameters - 4.0 * muon * layer_matrix_numel(a),
        activations=max(training, EVALUATED * evaluation_bytes(a, length, plain=on_cpu)),
        reserved=CPU_LIBRARIES + CPU_GAPS * tokens * unchecked if on_cpu else CUDA_CONTEXT,
    )


def layer_matrix_numel(a: Architecture) -> int:
    """Return how many numbers the layers' matrices have."""
    return a.layers * (4 * a.d_model**2 + 2 * a.d_model * a.ffn)


def autocast_copy_bytes(a: Architecture, precision: torch.dtype) -> float:
    """Return the bytes of the low-precision matrices that autocast keeps until the backward pass has used them."""
    numel = layer_matrix_numel(a) + VOCABULARY_SIZE * a.d_model
    return 0.0 if precision is torch.float32 else precision.itemsize * numel


def saved_activation_bytes(
    a: Architecture, length: int, precision: torch.dtype, *, plain: bool, checkpointing: bool = False
) -> float:
    """Return the bytes per token that the forward pass saves; `plain` attention (on a CPU) saves probabilities too."""
    layers = 4 * a.d_model if checkpointing else saved_layer_bytes(a, length, precision, plain=plain)
    head = precision.itemsize * a.d_model + 4 * VOCABULARY_SIZE  # its input, and the loss's log-probabilities
    ids = 3 * 8  # tokens, labels, positions
    return a.layers * layers + head + ids


def saved_layer_bytes(a: Architecture, length: int, precision: torch.dtype, *, plain: bool) -> float:
    """Return the bytes per token that the forward pass saves in one layer."""
    norms = 2 * (4 * a.d_model + 2 * 4)  # their inputs in fp32, mean and deviation
    products = 6 * a.d_model + a.ffn  # the inputs of four products; queries, keys and values
    attention = precision.itemsize * a.heads * length if plain else 4 * a.heads  # probabilities, or their sums
    return norms + precision.itemsize * products + attention


def backward_temp_bytes(a: Architecture, length: int, precision: torch.dtype, *, plain: bool, recompute: bool) -> float:
    """Return the temporary bytes per token of the backward pass through the loss or a layer, whichever is more."""
    logits = VOCABULARY_SIZE * (4 + precision.itemsize)
    widest = max(a.ffn, a.heads * length if plain else 0)
    layer = 2 * precision.itemsize * widest  # its gradient before and after
    return max(logits, layer + (saved_layer_bytes(a, length, precision, plain=plain) if recompute else 0))


def evaluation_bytes(a: Architecture, length: int, *, plain: bool) -> float:
    """Return the bytes per token at the widest point of a layer that saves nothing, in fp32."""
    feed_forward = 2 * a.d_model + 2 * a.ffn
    attention = 5 * a.d_model + (3 * a.heads * length if plain else 0)
    return 4.0 * max(feed_forward, attention)


def require_memory(settings: Settings, execution: ExecutionConfig, *, size_fixed: bool = False) -> None:
    """Require that a training fits the device's memory.

    Args:
        settings: of the training.
        execution: of the machine.
        size_fixed: a parent checkpoint fixes the size, so that no other is advised.

    Raises:
        DoesNotFit: it does not; with the figures and the settings that would fit.
    """
    available = available_memory(execution)
    if estimate_memory(settings, execution).total > available:
        raise DoesNotFit(advice(settings, execution, available, size_fixed=size_fixed))


def require_disk(settings: Settings, directory: Path) -> None:
    """Require that a training's checkpoints fit on the disk of its `directory`; those that exist need no more space.

    Raises:
        DoesNotFit: they do not; with the figures.
    """
    existing = sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())
    disk = next(path for path in (directory / "new").absolute().parents if path.exists())
    available = shutil.disk_usage(disk).free
    if (needed := estimate_disk(settings) - existing) > available:
        raise DoesNotFit(
            f"the checkpoints of a {settings.size} training of {settings.epochs} epochs need up to {gib(needed)}"
            f"{' more' if existing else ''}, {gib(available)} available under {directory.parent}: make room, or name "
            "another --checkpoint-dir"
        )


def estimate_disk(settings: Settings) -> float:
    """Return the bytes that a training's checkpoints need on the disk at most."""
    weights = 4.0 * SIZES[settings.size].parameters
    epochs = {e for e in (*MILESTONES, *range(EVERY_EPOCHS, settings.epochs, EVERY_EPOCHS)) if e < settings.epochs}
    # The newer of two is written before the older is removed: two BEST, and one LAST more than are kept. LAST and FINAL
    # contain two moments for each weight.
    return weights * (len(epochs) + 2 + 3 * (ROLLING + 1) + 3)


def available_memory(execution: ExecutionConfig, *, training: bool = False) -> float:
    """Return the bytes that a training may use: the user's limit, or what the device has available.

    During a `training`, with what this process has allocated.
    """
    if execution.memory_limit is not None:
        return execution.memory_limit * GIB
    if execution.device == "cuda":
        return float(torch.cuda.mem_get_info()[0] + (torch.cuda.memory_reserved() if training else 0))
    return available_host_memory() + (psutil.Process().memory_info().rss if training else 0)


def advice(settings: Settings, execution: ExecutionConfig, available: float, *, size_fixed: bool) -> str:
    """Return one line: bytes needed and available, and the settings nearest to these that fit."""
    line = (
        f"{settings.size} with batch size {settings.batch_size} and sequence length {settings.seq_length} needs "
        f"{estimate_memory(settings, execution)}, {gib(available)} available: "
    )
    # First the settings that give the same model, then smaller and smaller sizes.
    sizes = [settings.size] if size_fixed else reversed(list(SIZES)[: list(SIZES).index(settings.size) + 1])
    for size, less in product(sizes, _less_memory(settings, execution)):
        needed = estimate_memory(replace(settings, size=size), less).total
        if needed <= available:
            flags = "--gradient-checkpointing " if less is not execution else ""
            flags += f"--accumulation {less.accumulation} " if less.accumulation > execution.accumulation else ""
            flags += f"--size {size} " if size != settings.size else ""
            return f"{line}{flags}would need {gib(needed)}"
    return line + ("this size does not fit, and another one starts at phase 1" if size_fixed else "no size fits")


def _less_memory(settings: Settings, execution: ExecutionConfig) -> Iterator[ExecutionConfig]:
    """Yield the machine's settings, then those that need less and less memory for the same result."""
    yield execution
    parts, tokens = execution.accumulation, settings.batch_size * settings.seq_length
    while parts == execution.accumulation or (parts <= settings.batch_size and tokens // parts >= MIN_PART_TOKENS):
        yield replace(execution, gradient_checkpointing=True, accumulation=parts)
        parts *= 2


@contextmanager
def out_of_memory(settings: Settings, execution: ExecutionConfig) -> Iterator[None]:
    """Turn an allocation that fails in the block into `OutOfMemory` with advice, in one line."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not isinstance(error, (MemoryError, torch.OutOfMemoryError)) and not any(s in str(error) for s in _MESSAGES):
            raise
        # The training did not fit, so less than its estimate was available.
        available = min(available_memory(execution, training=True), estimate_memory(settings, execution).total - 1)
        raise OutOfMemory(
            f"out of memory: {advice(settings, execution, available, size_fixed=True)}; --gradient-checkpointing and "
            "--accumulation change no result: with them the training resumes from its last checkpoint"
        ) from error


_MESSAGES = ("out of memory", "can't allocate memory", "ALLOC_FAILED")
"""Of CUDA, of torch's CPU allocator, of cuBLAS and similar libraries."""


def gib(size: float) -> str:
    """Return bytes as text: `2.7 GiB`, `62 MiB`."""
    return f"{size / GIB:.1f} GiB" if size >= 0.1 * GIB else f"{size / 1024**2:.0f} MiB"
