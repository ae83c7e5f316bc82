"""Verify checkpoints against their manifests, and list those of a training.

verified = verify_checkpoint(path)
model = load_model(verified)          # does not hash the files again
"""

import logging
import math
import re
import shutil
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

from safetensors import safe_open

from hlx_model.checkpoints.manifest import REMEDY, CheckpointError, Manifest, checkpoint_number, read_manifest
from hlx_model.files import UNREADABLE, read_json, sha256_of
from hlx_model.layout import CHECKPOINT_NAME, MANIFEST, ONNX_WEIGHTS, PT_WEIGHTS, WEIGHTS
from hlx_model.model.tokenizer import VOCABULARY_SHA256

log = logging.getLogger(__name__)


class VerifiedCheckpoint(NamedTuple):
    """A checkpoint whose files this process has verified; made by `verify_checkpoint` alone."""

    path: Path
    manifest: Manifest

    @property
    def ref(self) -> str:
        """Return `<training id>/<name>`."""
        return f"{self.manifest.training_id}/{self.path.name}"


def verify_checkpoint(
    checkpoint: Path, *, training_id: str | None = None, only: Collection[str] | None = None
) -> VerifiedCheckpoint:
    """Verify the manifest, the length and SHA-256 of every file (or of those in `only`), and the vocabulary.

    Raises:
        CheckpointError: names the first file that is missing, truncated or changed; or the checkpoint is not of the
            training `training_id`, if one is named.
    """
    manifest = read_manifest(checkpoint)
    if training_id not in (None, manifest.training_id):
        raise CheckpointError(f"{checkpoint}: a checkpoint of training {manifest.training_id}, not of {training_id}")
    checked = manifest.files.keys() if only is None else manifest.files.keys() & only
    for name in sorted(checked):
        path, seal = checkpoint / name, manifest.files[name]
        if not path.is_file():
            raise CheckpointError(_missing(path))
        if (found := path.stat().st_size) != seal.bytes:
            raise CheckpointError(f"{path}: {found} bytes, {seal.bytes} were written: {REMEDY}")
        if sha256_of(path) != seal.sha256:
            raise CheckpointError(f"{path}: its SHA-256 is not the recorded one: {REMEDY}")
    if manifest.vocabulary_sha256 != VOCABULARY_SHA256:
        raise CheckpointError(f"{checkpoint}: written with another vocabulary than this program's")
    return VerifiedCheckpoint(checkpoint, manifest)


def _missing(path: Path) -> str:
    """Return that a file is missing and what to do, as one line; an export may have the weights in another format."""
    others = [name for name in (PT_WEIGHTS, ONNX_WEIGHTS) if path.name == WEIGHTS and (path.parent / name).is_file()]
    if others:
        return f"{path.parent}: its weights are in {others[0]}, which is not read here: export it as safetensors"
    return f"{path}: the file is missing: {REMEDY}"


def list_checkpoints(parent: Path) -> list[Path]:
    """Return the directories in `parent` that are named like a checkpoint and have a manifest, the newest last.

    Their manifests say which is the newest: the times of files change if they are copied. One that cannot be read
    counts as the oldest.
    """
    named = [path for path in parent.iterdir() if re.fullmatch(CHECKPOINT_NAME, path.name)] if parent.is_dir() else []
    # A running trainer may have removed it since.
    return sorted((path for path in named if (path / MANIFEST).is_file()), key=creation_key)


def creation_key(checkpoint: Path) -> tuple[str, int, bool, str]:
    """Return the key that sorts checkpoints by their manifests: creation, step, and the end of a training last."""
    try:
        # Not verified, which takes ten times as long: whoever uses the checkpoint verifies it.
        found = read_json(checkpoint / MANIFEST)
        return str(found["created"]), int(found["step"]), found["kind"] in ("FINAL", "STOPPED"), checkpoint.name
    except UNREADABLE:
        return "", 0, False, checkpoint.name


def newest_resumable(parent: Path, training_id: str) -> VerifiedCheckpoint | None:
    """Return the LAST checkpoint of the highest step in `parent` that verifies and is of that training.

    Those that do not verify are skipped with a warning; None if none does.
    """
    paths = [path for path in list_checkpoints(parent) if "_LAST_" in path.name]
    for path in sorted(paths, key=checkpoint_number, reverse=True):
        try:
            return verify_checkpoint(path, training_id=training_id)
        except CheckpointError as error:
            log.warning("skipped: %s", error)
    return None


def remove_checkpoint(checkpoint: Path) -> None:
    """Delete a checkpoint, its manifest first, so that a half-deleted one is never taken for a whole one."""
    (checkpoint / MANIFEST).unlink(missing_ok=True)
    shutil.rmtree(checkpoint, ignore_errors=True)


def stored_weights(checkpoint: Path) -> tuple[int, int]:
    """Return how many numbers a checkpoint's weights are, and the bytes of their file; reads its header only."""
    path = checkpoint / WEIGHTS
    with safe_open(path, framework="np") as tensors:
        shapes = [tensors.get_slice(name).get_shape() for name in tensors.keys()]  # noqa: SIM118
    return sum(math.prod(shape) for shape in shapes), path.stat().st_size
