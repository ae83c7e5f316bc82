"""How much memory a training takes, before it takes it; and what to do where there is not enough.

    weights + gradients + moments + what the forward pass keeps for the backward one

Per token and layer the forward pass keeps, with d_model D and feed-forward width F: in fp32 the two norms' inputs,
and what the matrix products read and write: 2 + 6 times D and F numbers; with gradient checkpointing the layer's
input alone, and one whole layer while it is computed again. `tests/training/test_memory.py` holds these against what
autograd really keeps.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from hlx_model.device import precision_of
from hlx_model.quality.milestones import MILESTONES
from hlx_model.tokenizer import VOCABULARY_SIZE
from hlx_model.training.execution import Execution
from hlx_model.training.settings import Settings
from hlx_model.transformer import SIZES

GIB = 1024**3
RESERVED = 0.7 * GIB
"""What CUDA, its libraries and the allocator's gaps take beside the tensors."""
LEAST_BATCH = 256
"""Tokens: no advice asks for smaller batches."""


class DoesNotFit(ValueError):
    """A training that needs more memory, or more room on the disk, than there is: one line with what would fit."""


class OutOfMemory(RuntimeError):
    """The device ran out of memory in the middle of a training: one line with what would fit."""


@dataclass(frozen=True)
class Need:
    """Bytes that a training takes at its peak."""

    weights: float
    gradients: float
    moments: float
    activations: float
    reserved: float

    @property
    def total(self) -> float:
        """All of them."""
        return self.weights + self.gradients + self.moments + self.activations + self.reserved

    def __str__(self) -> str:
        parts = ("weights", "gradients", "moments", "activations")
        return f"{_gib(self.total)} ({', '.join(f'{part} {_gib(getattr(self, part))}' for part in parts)})"


def need(settings: Settings, execution: Execution) -> Need:
    """What a training takes at its peak on each of its devices."""
    a, device = SIZES[settings.size], execution.device
    precision = precision_of(device, mixed=settings.mixed_precision)
    weights = 4.0 * a.parameters
    hidden = a.layers * (4 * a.d_model**2 + 2 * a.d_model * a.ffn)
    # Muon keeps one moment where AdamW keeps two.
    moments = 8.0 * a.parameters - (4.0 * hidden if settings.optimizer == "muon" else 0.0)
    low = torch.finfo(precision).bits / 8
    copies = weights * low / 4 if precision is not torch.float32 else 0.0
    gradients = weights
    tokens = settings.batch_size * settings.seq_length / execution.accumulation
    layer = activations_of_layer(a.d_model, a.ffn, precision)
    if device == "cpu":  # plain attention keeps its probabilities
        layer += low * a.heads * settings.seq_length
    kept = a.layers * layer
    if execution.gradient_checkpointing:
        kept = a.layers * 4.0 * a.d_model + layer
    logits = VOCABULARY_SIZE * (4 + 4 + low) + 4 * a.d_model
    # In the backward pass the widest activation and its gradient are there besides.
    transient = 2 * low * a.ffn
    activations = tokens * (kept + logits + transient)
    return Need(weights + copies, gradients, moments, activations, RESERVED if device != "cpu" else 0.0)


def activations_of_layer(d_model: int, ffn: int, precision: torch.dtype) -> float:
    """Bytes a token that a layer keeps for its backward pass, attention's probabilities aside."""
    low = torch.finfo(precision).bits / 8
    return 2 * 4.0 * d_model + low * (6 * d_model + ffn)


def require_room(settings: Settings, execution: Execution, directory: Path) -> None:
    """Refuse at once a training that the device, or the disk under `directory`, cannot hold.

    Raises:
        DoesNotFit: with the figures and the settings that would fit.
    """
    free = free_memory(execution)
    if need(settings, execution).total > free:
        raise DoesNotFit(advice(settings, execution, free))
    disk = shutil.disk_usage(_existing(directory)).free
    if (asked := disk_need(settings)) > disk:
        raise DoesNotFit(
            f"the checkpoints of a {settings.size} training of {settings.epochs} epochs take up to {_gib(asked)}, and "
            f"{_gib(disk)} are free under {directory}: free some, or name another --checkpoint-dir"
        )


def disk_need(settings: Settings) -> float:
    """Bytes that a training's checkpoints take on the disk at most."""
    weights = 4.0 * SIZES[settings.size].parameters
    epochs = {e for e in (*MILESTONES, *range(10, settings.epochs, 10)) if e < settings.epochs}
    # Beside those of epochs: the best and the rolling one, each written anew before the old one goes.
    return weights * (len(epochs) + 2 + 3 * 2 + 3)


def free_memory(execution: Execution) -> float:
    """Bytes that a training may take: the user's limit, or what the device has free."""
    if execution.memory_limit is not None:
        return execution.memory_limit * GIB
    if execution.device == "cuda":
        return float(torch.cuda.mem_get_info()[0])
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return 1024.0 * int(line.split()[1])
    return float("inf")


def advice(settings: Settings, execution: Execution, free: float) -> str:
    """One line: what is needed, what there is, and the settings nearest to these that fit."""
    line = (
        f"{settings.size} with batch size {settings.batch_size} and sequence length {settings.seq_length} needs about "
        f"{need(settings, execution)} and {_gib(free)} are free: "
    )
    for flags, s, e in _nearby(settings, execution):
        if need(s, e).total <= free:
            return f"{line}{flags} would take {_gib(need(s, e).total)}"
    return f"{line}no size fits"


def _nearby(settings: Settings, execution: Execution) -> Iterator[tuple[str, Settings, Execution]]:
    """Settings that take ever less, those first that give the same model."""
    sizes = list(SIZES)
    tokens = settings.batch_size * settings.seq_length
    for size in reversed(sizes[: sizes.index(settings.size) + 1]):
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
def out_of_memory(settings: Settings, execution: Execution) -> Iterator[None]:
    """Turn an allocation that fails in the block into `OutOfMemory` with advice."""
    try:
        yield
    except RuntimeError as error:  # torch.OutOfMemoryError is one
        if not isinstance(error, torch.OutOfMemoryError) and "can't allocate memory" not in str(error):
            raise
        # What is asked for did not fit in what was free at the start, so less than that estimate is.
        free = min(free_memory(execution), need(settings, execution).total - 1)
        raise OutOfMemory(
            f"out of memory: {advice(settings, execution, free)}; the training goes on where it "
            "stood with the same settings but --gradient-checkpointing and --accumulation, which change no result"
        ) from error


def _existing(path: Path) -> Path:
    path = path.absolute()
    while not path.exists():
        path = path.parent
    return path


def _gib(size: float) -> str:
    return f"{size / GIB:.1f} GiB" if size >= 0.1 * GIB else f"{size / 1024**2:.0f} MiB"
