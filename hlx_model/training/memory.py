"""How much memory a training takes, before it takes it; and what to do where there is not enough.

    weights + gradients + moments + what the forward pass keeps for the backward one

as if all were there at once, which from the second part of a batch on (`--accumulation`) they are. In one part the
activations go as the gradients come: the smaller of the two is counted too much, and left for the allocator's gaps.
`tests/training/test_memory.py` holds the terms against what autograd keeps, and the sum against what torch allocates.
"""

import resource
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from hlx_model.checkpoints.weights import ROLLING
from hlx_model.evaluation.milestones import MILESTONES
from hlx_model.model.device import precision_of
from hlx_model.model.sizes import SIZES, Architecture
from hlx_model.model.tokenizer import VOCABULARY_SIZE
from hlx_model.training.execution import ExecutionConfig
from hlx_model.training.settings import Settings

GIB = 1024**3
CUDA_CONTEXT = 0.7 * GIB
"""What CUDA, its libraries and the allocator's gaps take beside the tensors."""
CPU_LIBRARIES = 0.1 * GIB
CPU_GAPS = 0.5
"""The C library's allocator holds on to half as much again as the activations of a pass, checkpointed or not: resident
less allocated memory of 10m and 50m, eight settings. With MALLOC_MMAP_THRESHOLD_=131072 nothing, at a loss of speed."""
EVALUATED = 8192
"""Tokens that an evaluation reads at once, in fp32: `predict`'s `max_tokens`."""
PAGE = resource.getpagesize()
LEAST_BATCH = 256
"""Tokens: no advice asks for smaller batches."""


class DoesNotFit(ValueError):
    """A training that needs more memory, or more room on the disk, than there is: one line with what would fit."""


class OutOfMemory(RuntimeError):
    """The device ran out of memory in the middle of a training: one line with what would fit."""


@dataclass(frozen=True)
class MemoryEstimate:
    """Bytes that a training takes at its peak."""

    weights: float
    """With the copies of the matrices that autocast makes."""
    gradients: float
    moments: float
    activations: float
    """Of the forward pass, or of an evaluation where that takes more."""
    reserved: float
    """What is no tensor."""

    @property
    def total(self) -> float:
        """All of them."""
        return self.weights + self.gradients + self.moments + self.activations + self.reserved

    def __str__(self) -> str:
        parts = ("weights", "gradients", "moments", "activations", "reserved")
        return f"{_gib(self.total)} ({', '.join(f'{part} {_gib(getattr(self, part))}' for part in parts)})"


def estimate_memory(settings: Settings, execution: ExecutionConfig) -> MemoryEstimate:
    """What a training takes at its peak on each of its devices."""
    a, on_cpu, length = SIZES[settings.size], execution.device == "cpu", settings.seq_length
    precision = precision_of(execution.device, mixed=settings.mixed_precision)
    tokens = settings.batch_size * length / execution.accumulation
    workers = execution.workers(int(tokens))
    # Each thread has gradients and copies of its own; from the second part on they are added to those there are.
    gradients = workers + (workers > 1 and execution.accumulation > 1)
    muon = settings.optimizer == "muon"  # keeps one moment where AdamW keeps two
    whole = saved_activation_bytes(a, length, precision, plain=on_cpu)
    forward = saved_activation_bytes(a, length, precision, plain=on_cpu, checkpointing=execution.gradient_checkpointing)
    training = tokens * (
        forward + backward_temp_bytes(a, length, precision, plain=on_cpu, again=execution.gradient_checkpointing)
    )
    return MemoryEstimate(
        weights=4.0 * a.parameters + workers * autocast_copy_bytes(a, precision),
        gradients=4.0 * a.parameters * gradients,
        moments=8.0 * a.parameters - 4.0 * muon * layer_matrix_numel(a),
        activations=max(training, EVALUATED * evaluation_bytes(a, length, plain=on_cpu)),
        reserved=CPU_LIBRARIES + CPU_GAPS * tokens * whole if on_cpu else CUDA_CONTEXT,
    )


def layer_matrix_numel(a: Architecture) -> int:
    """Numbers in the matrices of the layers."""
    return a.layers * (4 * a.d_model**2 + 2 * a.d_model * a.ffn)


def autocast_copy_bytes(a: Architecture, precision: torch.dtype) -> float:
    """Bytes of the matrices in low precision, which autocast keeps until the backward pass has used them."""
    return (
        0.0
        if precision is torch.float32
        else precision.itemsize * (layer_matrix_numel(a) + VOCABULARY_SIZE * a.d_model)
    )


def saved_activation_bytes(
    a: Architecture, length: int, precision: torch.dtype, *, plain: bool, checkpointing: bool = False
) -> float:
    """Bytes a token that the forward pass keeps; `plain` attention keeps its probabilities too, as on a CPU."""
    layers = 4 * a.d_model if checkpointing else saved_layer_bytes(a, length, precision, plain=plain)
    head = precision.itemsize * a.d_model + 4 * VOCABULARY_SIZE  # its input, and the loss's log-probabilities
    ids = 3 * 8  # tokens, labels, positions
    return a.layers * layers + head + ids


def saved_layer_bytes(a: Architecture, length: int, precision: torch.dtype, *, plain: bool) -> float:
    """Bytes a token that one layer keeps."""
    norms = 2 * (4 * a.d_model + 2 * 4)  # their inputs in fp32, mean and deviation
    products = 6 * a.d_model + a.ffn  # the inputs of four; queries, keys and values
    attention = precision.itemsize * a.heads * length if plain else 4 * a.heads  # probabilities, or their sums
    return norms + precision.itemsize * products + attention


def backward_temp_bytes(a: Architecture, length: int, precision: torch.dtype, *, plain: bool, again: bool) -> float:
    """Bytes a token that are there besides while the backward pass goes through the loss or a layer."""
    logits = VOCABULARY_SIZE * (4 + precision.itemsize)
    widest = max(a.ffn, a.heads * length if plain else 0)
    layer = 2 * precision.itemsize * widest  # its gradient before and after
    return max(logits, layer + (saved_layer_bytes(a, length, precision, plain=plain) if again else 0))


def evaluation_bytes(a: Architecture, length: int, *, plain: bool) -> float:
    """Bytes a token at the widest place of a layer that keeps nothing, in fp32."""
    feed_forward = 2 * a.d_model + 2 * a.ffn
    attention = 5 * a.d_model + (3 * a.heads * length if plain else 0)
    return 4.0 * max(feed_forward, attention)


def require_memory(settings: Settings, execution: ExecutionConfig, *, size_fixed: bool = False) -> None:
    """Refuse at once a training that the device cannot hold.

    `size_fixed`: a parent checkpoint fixes the size, so that no other is advised.

    Raises:
        DoesNotFit: with the figures and the settings that would fit.
    """
    free = free_memory(execution)
    if estimate_memory(settings, execution).total > free:
        raise DoesNotFit(advice(settings, execution, free, size_fixed=size_fixed))


def require_disk(settings: Settings, directory: Path) -> None:
    """Refuse a training whose checkpoints the disk under its `directory` cannot hold, those there are counted in.

    Raises:
        DoesNotFit: with the figures.
    """
    there = sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())
    disk = shutil.disk_usage(_existing(directory)).free
    if (asked := estimate_disk(settings) - there) > disk:
        raise DoesNotFit(
            f"the checkpoints of a {settings.size} training of {settings.epochs} epochs take up to {_gib(asked)}"
            f"{' more' if there else ''}, and {_gib(disk)} are free under {directory.parent}: free some, or name "
            "another --checkpoint-dir"
        )


def estimate_disk(settings: Settings) -> float:
    """Bytes that a training's checkpoints take on the disk at most."""
    weights = 4.0 * SIZES[settings.size].parameters
    epochs = {e for e in (*MILESTONES, *range(10, settings.epochs, 10)) if e < settings.epochs}
    # Beside those of epochs: the best and the rolling ones, each written anew before the oldest goes; the last.
    return weights * (len(epochs) + 2 + 3 * (ROLLING + 1) + 3)


def free_memory(execution: ExecutionConfig) -> float:
    """Bytes that a training may take: the user's limit, or what the device has free."""
    if execution.memory_limit is not None:
        return execution.memory_limit * GIB
    if execution.device == "cuda":
        return float(torch.cuda.mem_get_info()[0])
    memory = Path("/proc/meminfo")
    for line in memory.read_text().splitlines() if memory.exists() else ():
        if line.startswith("MemAvailable:"):
            return 1024.0 * int(line.split()[1])
    return float("inf")


def allocated_bytes(execution: ExecutionConfig) -> float:
    """Bytes of what `free_memory` leaves out because this process has taken it already."""
    if execution.memory_limit is not None:
        return 0.0
    if execution.device == "cuda":
        return float(torch.cuda.memory_reserved())
    statistics = Path("/proc/self/statm")
    return float(PAGE * int(statistics.read_text().split()[1])) if statistics.exists() else 0.0


def advice(settings: Settings, execution: ExecutionConfig, free: float, *, size_fixed: bool) -> str:
    """One line: what is needed, what there is, and the settings nearest to these that fit."""
    line = (
        f"{settings.size} with batch size {settings.batch_size} and sequence length {settings.seq_length} needs about "
        f"{estimate_memory(settings, execution)} and {_gib(free)} are free: "
    )
    for flags, s, e in _nearby(settings, execution, size_fixed=size_fixed):
        if estimate_memory(s, e).total <= free:
            return f"{line}{flags} would take {_gib(estimate_memory(s, e).total)}"
    return line + ("nothing makes this size fit, and another begins at phase 1" if size_fixed else "no size fits")


def _nearby(
    settings: Settings, execution: ExecutionConfig, *, size_fixed: bool
) -> Iterator[tuple[str, Settings, ExecutionConfig]]:
    """Settings that take less, those first that give the same model, then smaller and smaller sizes."""
    sizes = list(SIZES)[: list(SIZES).index(settings.size) + 1]
    tokens = settings.batch_size * settings.seq_length
    for size in [settings.size] if size_fixed else reversed(sizes):
        s = replace(settings, size=size)
        smaller = "" if size == settings.size else f" --size {size}"
        if smaller:
            yield smaller.strip(), s, execution
        if not execution.gradient_checkpointing:
            yield f"--gradient-checkpointing{smaller}", s, replace(execution, gradient_checkpointing=True)
        parts = execution.accumulation * 2
        while parts <= settings.batch_size and tokens // parts >= LEAST_BATCH:
            e = replace(execution, gradient_checkpointing=True, accumulation=parts)
            yield f"--gradient-checkpointing --accumulation {parts}{smaller}", s, e
            parts *= 2


@contextmanager
def out_of_memory(settings: Settings, execution: ExecutionConfig) -> Iterator[None]:
    """Turn an allocation that fails in the block into `OutOfMemory` with advice."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not isinstance(error, (MemoryError, torch.OutOfMemoryError)) and not any(s in str(error) for s in _SAID):
            raise
        # What is asked for did not fit in what was free at the start, so less than that estimate is.
        free = min(free_memory(execution) + allocated_bytes(execution), estimate_memory(settings, execution).total - 1)
        raise OutOfMemory(
            f"out of memory: {advice(settings, execution, free, size_fixed=True)}; --gradient-checkpointing and "
            "--accumulation change no result: with them the training goes on from its last checkpoint"
        ) from error


_SAID = ("out of memory", "can't allocate memory", "ALLOC_FAILED")
"""By CUDA, by torch's CPU allocator, by cuBLAS and its fellows."""


def _existing(path: Path) -> Path:
    path = path.absolute()
    while not path.exists():
        path = path.parent
    return path


def _gib(size: float) -> str:
    return f"{size / GIB:.1f} GiB" if size >= 0.1 * GIB else f"{size / 1024**2:.0f} MiB"
