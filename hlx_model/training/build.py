"""What a checkpoint is computed with: code, packages, device."""

import functools
import platform
import subprocess
from importlib import metadata
from pathlib import Path

import torch

import hlx_model
from hlx_model.training.settings import CODE_VERSION

_PACKAGES = ("numpy", "pyarrow", "safetensors", "torch")


def package_versions() -> dict[str, str]:
    """Return the versions of this program, of Python and of the packages that compute and write."""
    return {
        "hlx": hlx_model.__version__,
        "python": platform.python_version(),
        **{name: metadata.version(name) for name in _PACKAGES},
    }


def device_name(device: torch.device) -> str:
    """Return the device's name: `cpu`, `cuda (NVIDIA H200)`."""
    return f"cuda ({torch.cuda.get_device_name(device)})" if device.type == "cuda" else device.type


@functools.cache
def code_state() -> dict[str, str | bool | None]:
    """Return `version` of the code, raised by hand; `commit` and `dirty` of its git checkout, None if there is none.

    A checkout is dirty if a file of the packages differs from the commit or is not in it.
    """
    root = Path(hlx_model.__file__).parents[1]
    state: dict[str, str | bool | None] = {"version": CODE_VERSION, "commit": None, "dirty": None}
    if not (root / ".git").exists():  # installed, perhaps inside another repository
        return state
    commit = _git(root, "rev-parse", "HEAD")
    changes = _git(root, "status", "--porcelain", "--", "hlx_model", "hlx_assets")
    return state if commit is None or changes is None else {**state, "commit": commit, "dirty": bool(changes)}


def _git(root: Path, *arguments: str) -> str | None:
    command = ["git", "-C", str(root), *arguments]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None
