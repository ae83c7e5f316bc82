"""How a machine computes a training; nothing here changes the result beyond rounding.

So it is not part of a training's id: a training that ran out of memory resumes with settings that need less.
"""

import math
from dataclasses import dataclass

import torch

from hlx_model.model.device import device_of

TOKENS_A_THREAD = 512
"""Tokens of the smallest share that is worth a CPU thread."""


@dataclass(frozen=True)
class ExecutionConfig:
    """The settings for a machine; `ValueError` names the field, its value and what is allowed."""

    device: str
    """`cpu` or `cuda`."""
    gradient_checkpointing: bool = False
    """Discard activations in the forward pass and compute them again in the backward pass."""
    accumulation: int = 1
    """Parts of a batch that are computed one after another; their gradients are added up."""
    compile: bool = False
    """Let `torch.compile` fuse the model's operations: faster on a GPU, slower on a CPU."""
    memory_limit: float | None = None
    """GiB that the training may use; None is all that the device has free."""
    gate_every: int = 0
    """Evaluate the gates every so many epochs, beside the milestones; 0: at the milestones alone. It changes no weight;
    a broken training is stopped earlier."""

    def __post_init__(self) -> None:
        device_of(self.device)
        if self.accumulation < 1:
            raise ValueError(f"accumulation is {self.accumulation}: it must be at least 1")
        if self.gate_every < 0:
            raise ValueError(f"gate_every is {self.gate_every}: it must be a number of epochs, 0 for none")
        if self.memory_limit is not None and not 0 < self.memory_limit < math.inf:
            raise ValueError(f"memory_limit is {self.memory_limit}: it must be above 0 GiB")

    def workers(self, tokens: int) -> int:
        """Return the CPU threads among which so many tokens are split; 1 on a GPU."""
        return 1 if self.device == "cuda" else max(1, min(torch.get_num_threads(), tokens // TOKENS_A_THREAD))
