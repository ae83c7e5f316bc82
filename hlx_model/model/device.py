"""What a machine computes with: its device, its CPU threads, its precision, its attention kernel."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from hlx_model.model.sizes import Architecture

T = TypeVar("T")

SMALL_WIDTH = 128
"""Models of at most this width run on one CPU thread. Its batches are too small to share: two threads gave
tiny 21k tokens/s where one gave 20k, and 2.5k to 10k as soon as something else wanted a core (`docs/LOG.md`)."""


def device_of(named: str | None = None) -> str:
    """The device that is named, or `cuda` where there is a GPU, else `cpu`; `ValueError` where it is not to be had."""
    if named not in (None, "cpu", "cuda"):
        raise ValueError(f"device is {named!r}: it must be cpu or cuda")
    if named == "cuda" and not torch.cuda.is_available():
        raise ValueError("device is 'cuda', and torch sees no GPU here: use --device cpu, or look at nvidia-smi")
    return named or ("cuda" if torch.cuda.is_available() else "cpu")


def threads_of(a: Architecture) -> int:
    """CPU threads that one operation of a model is worth: one of a small model, torch's own number of others."""
    return 1 if a.d_model <= SMALL_WIDTH else torch.get_num_threads()


@contextmanager
def threads_for(a: Architecture) -> Iterator[None]:
    """The threads that a model's operations are worth, while the block runs."""
    with threads(threads_of(a)):
        yield


@contextmanager
def threads(number: int) -> Iterator[None]:
    """So many CPU threads an operation, while the block runs."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def map_in_threads(work: Callable[[int], T], number: int, device: str) -> list[T]:
    """What `work` gives for 0 to `number` - 1, in order; on a CPU as many at a time as torch has threads.

    Threads that each do a whole piece of work wait for each other far less than threads that share each operation.
    """
    workers = min(torch.get_num_threads(), number)
    if device != "cpu" or workers < 2:
        return [work(i) for i in range(number)]
    with threads(1), ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        return list(pool.map(work, range(number)))


def precision_of(device: str, *, mixed: bool) -> torch.dtype:
    """What matrix products are computed in: fp32, or where `mixed` asks for less and the device has it, less.

    bf16 on a GPU from Ampere on, else fp16; bf16 on a CPU with instructions for it (AVX512-BF16 or AMX), which
    more than doubles its matrix products, else fp32: emulated bf16 is slower (`docs/performance.md`).
    """
    if not mixed:
        return torch.float32
    if device.startswith("cuda"):
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
    capabilities = torch.cpu.get_capabilities()
    return torch.bfloat16 if capabilities.get("avx512_bf16") or capabilities.get("amx_bf16") else torch.float32


@contextmanager
def attention_kernel(device: str) -> Iterator[None]:
    """On a CPU plain matrix products for attention, on a GPU what torch chooses, while the block runs.

    On a CPU the backward pass of the flash kernel takes ten times as long in bf16 as these (`docs/performance.md`).
    The choice is the process's, not the thread's.
    """
    if device.startswith("cuda"):
        yield
        return
    before = torch.backends.cuda.fp16_bf16_reduction_math_sdp_allowed()  # type: ignore[no-untyped-call]
    torch.backends.cuda.allow_fp16_bf16_reduction_math_sdp(True)
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.cuda.allow_fp16_bf16_reduction_math_sdp(before)
