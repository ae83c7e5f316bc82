"""Where a model computes: the GPU where there is one, and how many CPU threads a size is worth."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from hlx_model.transformer import Architecture

SMALL_WIDTH = 128
"""Models of at most this width run on one CPU thread. Its batches are too small to share: two threads gave
tiny 21k tokens/s where one gave 20k, and 2.5k to 10k as soon as something else wanted a core (`docs/LOG.md`)."""


def device_of() -> str:
    """`cuda` where there is a GPU, else `cpu`."""
    return "cuda" if torch.cuda.is_available() else "cpu"


@contextmanager
def threads_for(a: Architecture) -> Iterator[None]:
    """One CPU thread for a small model, torch's own number for others, while the block runs."""
    before = torch.get_num_threads()
    if a.d_model <= SMALL_WIDTH:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
