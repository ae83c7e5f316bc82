"""Write and load a checkpoint's weights and optimizer moments: safetensors, sealed by the manifest.

Nothing is ever loaded with pickle.
"""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from hlx_model.checkpoints.manifest import CheckpointError, FileSeal, Manifest, directory_name
from hlx_model.checkpoints.progress import Progress
from hlx_model.checkpoints.seal import VerifiedCheckpoint, verify_checkpoint
from hlx_model.files import new_directory, sha256_of, write_json
from hlx_model.layout import MANIFEST, OPTIMIZER, STATE, WEIGHTS
from hlx_model.model.transformer import Transformer

EVERY_EPOCHS = 10
"""A training keeps an EPOCH checkpoint each so many epochs, beside those of its milestones."""
ROLLING = 2
"""LAST checkpoints that a training keeps: it resumes from the older one if the newer one is damaged."""


def write_checkpoint(
    parent: Path, manifest: Manifest, model: Transformer, progress: Progress, optimizer: Mapping[str, Tensor] | None
) -> Path:
    """Write a checkpoint into `parent`, its manifest last, and return its directory.

    If the target exists, verifies and is of the same training, keep it: a valid checkpoint is never replaced.

    Args:
        parent: the folder of the training's checkpoints.
        manifest: without hashes, which are filled in here.
        model: its weights are written.
        progress: becomes `state.json`.
        optimizer: the moments by name; None leaves them out.
    """
    target = parent / directory_name(manifest.kind, manifest.phase, manifest.epoch, manifest.step)
    with suppress(CheckpointError):
        return verify_checkpoint(target, training_id=manifest.training_id).path
    with new_directory(target) as directory:
        _save(model.state_dict(), directory / WEIGHTS)
        if optimizer is not None:
            _save(optimizer, directory / OPTIMIZER)
        # The directory is synced as a whole before it takes its name.
        write_json(directory / STATE, progress.to_json(), durable=False)
        written = sorted(directory.iterdir())
        files = {path.name: FileSeal(sha256=sha256_of(path), bytes=path.stat().st_size) for path in written}
        sealed = manifest.replace(weights_sha256=files[WEIGHTS].sha256, files=files)
        write_json(directory / MANIFEST, sealed.to_json(), durable=False)
    return target


def _save(tensors: Mapping[str, Tensor], path: Path) -> None:
    try:
        save_file({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, path)
    except SafetensorError as error:
        # A full disk is an `OSError`, whichever library writes.
        raise OSError(f"{path}: {error}") from None


def load_model(checkpoint: VerifiedCheckpoint, device: str = "cpu") -> Transformer:
    """Return the model of a checkpoint on `device`, in evaluation mode; `CheckpointError` if its weights do not fit."""
    model = Transformer(checkpoint.manifest.architecture)
    load_weights(checkpoint, model)
    return model.to(device).eval()


def load_weights(checkpoint: VerifiedCheckpoint, model: Transformer) -> None:
    """Copy a checkpoint's weights into `model`.

    Raises:
        CheckpointError: they are not those of such a model.
    """
    path = checkpoint.path / WEIGHTS
    try:
        model.load_state_dict(load_file(path))
    except (SafetensorError, RuntimeError) as error:
        size, reason = checkpoint.manifest.size, str(error).splitlines()[0]
        raise CheckpointError(f"{path}: not the weights of a {size} model ({reason})") from None


def load_optimizer(checkpoint: VerifiedCheckpoint) -> dict[str, Tensor] | None:
    """Return the optimizer's tensors by name; None if the checkpoint contains none."""
    return load_file(checkpoint.path / OPTIMIZER) if OPTIMIZER in checkpoint.manifest.files else None
