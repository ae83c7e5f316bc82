"""What a machine computes with: device, CPU threads, precision, attention kernel."""

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from hlx_model.model.sizes import Architecture

_DRIVER = Path("/proc/driver/nvidia/version")
SMALL_WIDTH = 128
"""Models up to this width run on one CPU thread, because their batches are too small to share. With two threads `tiny`
trained at 21k tokens/s, with one at 20k; but at 2.5k to 10k as soon as another process used a core (`docs/LOG.md`)."""


def device_of(named: str | None = None) -> str:
    """Return the named device; without a name `cuda` if there is a GPU, else `cpu`.

    Raises:
        ValueError: the name is neither, or is `cuda` and there is no GPU.
    """
    if named not in (None, "cpu", "cuda"):
        raise ValueError(f"device is {named!r}: it must be cpu or cuda")
    if named == "cuda" and not torch.cuda.is_available():
        raise ValueError("device is 'cuda', and torch sees no GPU here: use --device cpu, or check nvidia-smi")
    return named or ("cuda" if torch.cuda.is_available() else "cpu")


def no_gpu_reason() -> str | None:
    """Return why torch sees no GPU here, in a few words; None if it sees one."""
    if torch.cuda.is_available():
        return None
    if torch.version.cuda is None and torch.version.hip is None:
        return "this torch is built for the CPU alone"
    if os.environ.get("CUDA_VISIBLE_DEVICES", "0").strip() in ("", "-1"):
        return "CUDA_VISIBLE_DEVICES hides it"
    if nvidia_driver() is None and torch.version.hip is None:
        return "no NVIDIA driver is loaded"
    return "torch cannot use the driver or the device: compare nvidia-smi with `hlx doctor`"


def nvidia_driver() -> str | None:
    """Return the version of the NVIDIA driver that is loaded, such as `580.95.05`; None without one."""
    with suppress(OSError):
        found = re.search(r"\s(\d+(?:\.\d+)+)\s", _DRIVER.read_text(encoding="utf-8"))
        return found[1] if found else "unknown"
    return None


def has_code(capability: tuple[int, int], architectures: Sequence[str]) -> bool:
    """Return whether code for some architectures, as `torch.cuda.get_arch_list` names them, runs on a GPU.

    `sm_86` runs on GPUs of its major version from 8.6 on, `compute_86` on each GPU from 8.6 on. A letter at the end
    (`sm_90a`) binds it to its own version. Without a name of NVIDIA's form the answer is True: others are not known.
    https://docs.nvidia.com/cuda/cuda-c-programming-guide/index.html#application-compatibility
    """
    known = False
    for match in filter(None, (re.fullmatch(r"(sm|compute)_(\d+)(\d)([a-z]?)", name) for name in architectures)):
        kind, major, minor, bound = match.groups()
        version, known = (int(major), int(minor)), True
        later = version <= capability and (kind == "compute" or version[0] == capability[0])
        if version == capability or (later and not bound):
            return True
    return not known


def threads_of(a: Architecture) -> int:
    """Return the number of CPU threads for a model's operations: 1 for a small model, else torch's own number."""
    return 1 if a.d_model <= SMALL_WIDTH else torch.get_num_threads()


@contextmanager
def threads(number: int) -> Iterator[None]:
    """Use `number` CPU threads for each operation while the block runs."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def precision_of(device: str, *, mixed: bool) -> torch.dtype:
    """Return the type of matrix products: fp32, or a smaller one if `mixed` and the device supports it.

    A GPU gets bf16 (from Ampere on) or fp16. A CPU gets bf16 if it has instructions for it (AVX512-BF16 or AMX), which
    makes matrix products more than twice as fast, else fp32: emulated bf16 is slower (`docs/performance.md`).
    """
    if not mixed:
        return torch.float32
    if device.startswith("cuda"):
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
    capabilities = torch.cpu.get_capabilities()
    return torch.bfloat16 if capabilities.get("avx512_bf16") or capabilities.get("amx_bf16") else torch.float32


@contextmanager
def attention_kernel(device: str) -> Iterator[None]:
    """Compute attention with plain matrix products on a CPU, with torch's choice on a GPU, while the block runs.

    On a CPU the backward pass of the flash kernel takes ten times as long in bf16 (`docs/performance.md`).
    The choice applies to the whole process, not to the thread.
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
