"""The processes that train together: the ranks that `torchrun` started, or this process alone.

    torchrun --nproc-per-node 2 -m hlx_model.training --phase 1 --corpus corpus.md

Every rank computes its share of each batch. Rank 0 alone reads the corpus, evaluates, writes and reports. All ranks
need access to the same folder of trainings.
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from hlx_model.runs.processes import die_with_parent


class Ranks:
    """This process among those that train together; if it is alone, nothing is exchanged."""

    def __init__(self, device: str) -> None:
        """Join the ranks that `torchrun` started; `device` is `cpu` or `cuda`."""
        self.size = int(os.environ.get("WORLD_SIZE", "1"))
        self.rank = int(os.environ.get("RANK", "0"))
        self.is_rank_zero = self.rank == 0
        """Whether this process reads, evaluates, writes and reports."""
        self.device = device
        if self.size > 1:
            # If torchrun is killed, nothing else stops its ranks, and they would keep the training's lock.
            die_with_parent()
            if device == "cuda":
                self.device = f"cuda:{os.environ['LOCAL_RANK']}"
                torch.cuda.set_device(self.device)
            dist.init_process_group("nccl" if device == "cuda" else "gloo")

    @contextmanager
    def process_group(self) -> Iterator["Ranks"]:
        """Leave the group at the end of the block."""
        try:
            yield self
        finally:
            if self.size > 1:
                dist.destroy_process_group()

    @contextmanager
    def rank_zero_first(self) -> Iterator[None]:
        """Run the block in rank 0, then in the others, which find what rank 0 has written."""
        if self.size > 1 and not self.is_rank_zero:
            dist.barrier()
        yield
        if self.size > 1 and self.is_rank_zero:
            dist.barrier()

    def mean(self, tensor: Tensor) -> Tensor:
        """Return the mean of a tensor over the ranks."""
        if self.size > 1:
            dist.all_reduce(tensor)
            tensor /= self.size
        return tensor

    def any(self, here: bool) -> bool:
        """Return whether `here` is true in any rank."""
        return here if self.size == 1 else bool(self.mean(torch.tensor(float(here), device=self.device)) > 0)

    def broadcast_object(self, value: Any) -> Any:
        """Return rank 0's `value`, which must be JSON; the values of the others are ignored."""
        if self.size == 1:
            return value
        content = list(json.dumps(value).encode()) if self.is_rank_zero else []
        length = torch.tensor(len(content), device=self.device)
        dist.broadcast(length, src=0)
        text = torch.tensor(content or [0] * int(length), dtype=torch.uint8, device=self.device)
        dist.broadcast(text, src=0)
        return json.loads(bytes(text.tolist()))
