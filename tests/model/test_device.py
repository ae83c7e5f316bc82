"""Which driver is loaded, and on which GPUs a build of torch runs."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from hlx_model.model import device
from hlx_model.model.device import has_code, no_gpu_reason, nvidia_driver

CUDA_13 = ["sm_75", "sm_80", "sm_86", "sm_90", "sm_100", "sm_120", "compute_120"]


@pytest.mark.parametrize(
    ("capability", "architectures", "runs"),
    [
        ((9, 0), CUDA_13, True),
        ((8, 9), CUDA_13, True),  # by sm_86
        ((7, 0), CUDA_13, False),
        ((6, 1), CUDA_13, False),
        ((12, 1), CUDA_13, True),
        ((13, 0), CUDA_13, True),  # compute_120 is compiled when it is loaded
        ((13, 0), CUDA_13[:-1], False),
        ((8, 0), ["sm_86"], False),
        ((9, 0), ["sm_90a"], True),
        ((9, 1), ["sm_90a"], False),
        ((9, 4), ["gfx90a", "gfx942"], True),  # AMD: not judged
        ((9, 0), [], True),
    ],
)
def test_code_runs_on_later_gpus_of_its_major_version(
    capability: tuple[int, int], architectures: Sequence[str], runs: bool
) -> None:
    assert has_code(capability, architectures) is runs


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.183.01  Sun May 12 19:39:15 UTC 2024\n", "535.183.01"),
        ("NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.95.05  Release Build  (dvs)\n", "580.95.05"),
        ("something else\n", "unknown"),
        (None, None),
    ],
)
def test_the_driver_is_that_of_the_kernel_module(
    text: str | None, version: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device, "_DRIVER", tmp_path / "version")
    if text is not None:
        (tmp_path / "version").write_text(text)
    assert nvidia_driver() == version


@pytest.mark.parametrize(
    ("cuda", "visible", "driver", "reason"),
    [
        (None, "0", True, "this torch is built for the CPU alone"),
        ("13.0", "", True, "CUDA_VISIBLE_DEVICES hides it"),
        ("13.0", "-1", False, "CUDA_VISIBLE_DEVICES hides it"),
        ("13.0", "0", False, "no NVIDIA driver is loaded"),
        ("13.0", "0", True, "torch cannot use the driver or the device"),
    ],
)
def test_the_reason_for_no_gpu_is_the_first_that_holds(
    cuda: str | None, visible: str, driver: bool, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.version, "cuda", cuda)
    monkeypatch.setattr(torch.version, "hip", None)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    monkeypatch.setattr(device, "_DRIVER", tmp_path / "version")
    if driver:
        (tmp_path / "version").write_text("Kernel Module  535.183.01  Sun May 12\n")
    found = no_gpu_reason()
    assert found is not None and found.startswith(reason)
