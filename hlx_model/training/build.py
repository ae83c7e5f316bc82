"""What a checkpoint is computed with: code, packages, device."""

import platform
import subprocess
from contextlib import suppress
from functools import cache, partial
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


@cache
def code_state() -> dict[str, str | bool | None]:
    """Return `version` of the code, raised by hand; `commit` and `dirty` of its git checkout, None if there is none.

    A checkout is dirty if a file of the packages differs from the commit or is not in it.
    """
    root = Path(hlx_model.__file__).parents[1]
    commit, dirty = None, None
    if (root / ".git").exists():  # else it is installed, perhaps inside another repository
        git = partial(subprocess.check_output, cwd=root, text=True, stderr=subprocess.DEVNULL, timeout=30)
        with suppress(OSError, subprocess.SubprocessError):
            dirty = bool(git(["git", "status", "--porcelain", "--", "hlx_model", "hlx_assets"]))
            commit = git(["git", "rev-parse", "HEAD"]).strip()
    return {"version": CODE_VERSION, "commit": commit, "dirty": dirty if commit else None}
