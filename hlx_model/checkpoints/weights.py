"""A checkpoint's weights and moments, written and loaded: safetensors and JSON, sealed by its manifest.

What a checkpoint is on the disk is in `manifest.py`. Nothing is ever loaded with pickle.
"""

import math
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from hlx_model.checkpoints.manifest import (
    CheckpointError,
    Manifest,
    directory_name,
    read_manifest,
)
from hlx_model.checkpoints.seal import (
    verify_checkpoint,
    verify_own,
)  # fmt: skip
from hlx_model.files import new_directory, sha256_of, write_json
from hlx_model.layout import (
    MANIFEST,
    OPTIMIZER,
    STATE,
    WEIGHTS,
)
from hlx_model.model.transformer import Transformer

ROLLING = 2
"""LAST checkpoints that a training keeps: from the older one it goes on where the newer has gone bad."""


def write_checkpoint(
    parent: Path,
    manifest: Manifest,
    model: Transformer,
    state: Mapping[str, Any],
    optimizer: Mapping[str, Tensor] | None,
) -> Path:
    """Write a checkpoint into `parent`, its manifest last, and return its directory.

    `state` is JSON; `optimizer` holds the moments by name, None leaves them out. Where a training that went on
    comes again upon what it had written before, that stays: a good checkpoint is never away, not for a moment.
    """
    target = parent / directory_name(manifest.kind, manifest.phase, manifest.epoch, manifest.step)
    with suppress(CheckpointError):
        verify_own(target, manifest.training_id)
        return target
    with new_directory(target) as directory:
        _save(model.state_dict(), directory / WEIGHTS)
        if optimizer is not None:
            _save(optimizer, directory / OPTIMIZER)
        # The directory is synced as a whole before it takes its name.
        write_json(directory / STATE, dict(state), durable=False)
        files: dict[str, dict[str, Any]] = {
            path.name: {"sha256": sha256_of(path), "bytes": path.stat().st_size} for path in sorted(directory.iterdir())
        }
        sealed = replace(manifest, weights_sha256=files[WEIGHTS]["sha256"], files=files)
        write_json(directory / MANIFEST, sealed.to_json(), durable=False)
    return target


def _save(tensors: Mapping[str, Tensor], path: Path) -> None:
    try:
        save_file({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, path)
    except SafetensorError as error:
        # A full disk is an `OSError` whoever writes.
        raise OSError(f"{path}: {error}") from None


def load_model(checkpoint: Path, device: str = "cpu", *, only: Collection[str] | None = None) -> Transformer:
    """The model of a checkpoint on `device`.

    `CheckpointError` where its files, or those in `only`, are not as they were written, or its weights do not fit.
    """
    manifest = verify_checkpoint(checkpoint, only=only)
    model = Transformer(manifest.architecture)
    try:
        model.load_state_dict(load_file(checkpoint / WEIGHTS))
    except (SafetensorError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise CheckpointError(
            f"{checkpoint / WEIGHTS}: not the weights of a {manifest.size} model ({reason})"
        ) from None
    return model.to(device).eval()


def stored_weights(checkpoint: Path) -> tuple[int, int]:
    """Numbers in the weights that a checkpoint holds, and the bytes of their file; only its header is read."""
    path = checkpoint / WEIGHTS
    with safe_open(path, framework="pt") as tensors:
        shapes = [tensors.get_slice(name).get_shape() for name in tensors.keys()]  # noqa: SIM118
    return sum(math.prod(shape) for shape in shapes), path.stat().st_size


def load_optimizer(checkpoint: Path) -> dict[str, Tensor] | None:
    """The optimizer's tensors by name; None where the checkpoint holds none."""
    return load_file(checkpoint / OPTIMIZER) if OPTIMIZER in read_manifest(checkpoint).files else None
