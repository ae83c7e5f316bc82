"""How a machine computes a training; none of it changes the result beyond rounding.

So none of it is part of a training's id: one that ran out of memory goes on where it stood, with less.
"""

from dataclasses import dataclass

import torch

from hlx_model.model.device import device_of

TOKENS_A_THREAD = 512
"""A smaller share is not worth a CPU thread."""


@dataclass(frozen=True)
class ExecutionConfig:
    """What a user chooses for a machine; `ValueError` names the field, its value and what is allowed."""

    device: str
    """`cpu` or `cuda`."""
    gradient_checkpointing: bool = False
    """Forget activations in the forward pass and compute them again in the backward one."""
    accumulation: int = 1
    """Parts that a batch is computed in, one after another; their gradients are added up."""
    compile: bool = False
    """Let `torch.compile` fuse the model's operations: on a GPU; on a CPU it is slower."""
    memory_limit: float | None = None
    """GiB that the training may take; None takes what the device has free."""

    def __post_init__(self) -> None:
        device_of(self.device)
        if self.accumulation < 1:
            raise ValueError(f"accumulation is {self.accumulation}: it must be at least 1")
        if self.memory_limit is not None and not self.memory_limit > 0:
            raise ValueError(f"memory_limit is {self.memory_limit}: it must be above 0 GiB")

    def workers(self, tokens: int) -> int:
        """CPU threads that compute so many tokens side by side; a GPU is one."""
        return 1 if self.device == "cuda" else max(1, min(torch.get_num_threads(), tokens // TOKENS_A_THREAD))
