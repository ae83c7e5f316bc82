"""The processes that train together: those that `torchrun` started, or this one alone.

    torchrun --nproc-per-node 2 -m hlx_model.training --phase 1 --corpus corpus.md

Every rank computes its share of each batch; the first one alone reads the corpus, judges, writes and reports. All
of them see the same folder of trainings.
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from hlx_model.runs.processes import die_with_parent


class Ranks:
    """This process among those that train together; alone, every method is a plain one."""

    def __init__(self, device: str) -> None:
        self.size = int(os.environ.get("WORLD_SIZE", "1"))
        self.rank = int(os.environ.get("RANK", "0"))
        self.device = device
        if self.size > 1:
            # Where torchrun is killed, nobody would stop its ranks, and they would hold the training's lock.
            die_with_parent()
            if device == "cuda":
                self.device = f"cuda:{os.environ['LOCAL_RANK']}"
                torch.cuda.set_device(self.device)
            dist.init_process_group("nccl" if device == "cuda" else "gloo")

    @property
    def is_rank_zero(self) -> bool:
        """Whether this is the one that reads, judges, writes and reports."""
        return self.rank == 0

    @contextmanager
    def process_group(self) -> Iterator["Ranks"]:
        """Part at the end of the block."""
        try:
            yield self
        finally:
            if self.size > 1:
                dist.destroy_process_group()

    @contextmanager
    def rank_zero_first(self) -> Iterator[None]:
        """The first rank runs the block, then the others, who find what it has made."""
        if self.size > 1 and not self.is_rank_zero:
            dist.barrier()
        yield
        if self.size > 1 and self.is_rank_zero:
            dist.barrier()

    def parallel(self, model: nn.Module) -> nn.Module:
        """The model, whose gradients are averaged over the ranks."""
        return DistributedDataParallel(model) if self.size > 1 else model

    def mean(self, tensor: Tensor) -> Tensor:
        """The mean of a tensor over the ranks."""
        if self.size > 1:
            dist.all_reduce(tensor)
            tensor /= self.size
        return tensor

    def any(self, here: bool) -> bool:
        """Whether it is so at any rank."""
        return here if self.size == 1 else bool(self.mean(torch.tensor(float(here), device=self.device)) > 0)

    def broadcast_object(self, value: Any) -> Any:
        """What the first rank says, a JSON value; the others' own is not asked."""
        if self.size == 1:
            return value
        content = json.dumps(value).encode() if self.is_rank_zero else b""
        length = torch.tensor(len(content), device=self.device)
        dist.broadcast(length, src=0)
        text = torch.zeros(int(length), dtype=torch.uint8, device=self.device)
        if self.is_rank_zero:
            text.copy_(torch.frombuffer(bytearray(content), dtype=torch.uint8))
        dist.broadcast(text, src=0)
        return json.loads(bytes(text.tolist()))
