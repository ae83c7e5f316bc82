"""Whether a checkpoint is still what was written, and which checkpoints a training has."""

import logging
import shutil
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from hlx_model.checkpoints.manifest import NAME, REMEDY, CheckpointError, Manifest, read_manifest
from hlx_model.files import sha256_of
from hlx_model.layout import MANIFEST, OPTIMIZER
from hlx_model.model.tokenizer import VOCABULARY_SHA256

log = logging.getLogger(__name__)


def verify_checkpoint(checkpoint: Path, *, only: Collection[str] | None = None) -> Manifest:
    """The manifest of a checkpoint whose every file, or every one of those in `only`, is as it was written.

    Raises `CheckpointError` that names the first file that is missing, truncated or changed.
    """
    manifest = read_manifest(checkpoint)
    for name, seal in manifest.files.items():
        if only is not None and name not in only:
            continue
        path = checkpoint / name
        if not path.is_file():
            raise CheckpointError(f"{path}: the file is missing: {REMEDY}")
        if (found := path.stat().st_size) != seal["bytes"]:
            raise CheckpointError(f"{path}: {found} bytes where {seal['bytes']} were written: {REMEDY}")
        if sha256_of(path) != seal["sha256"]:
            raise CheckpointError(f"{path}: its SHA-256 is not the one recorded: {REMEDY}")
    if manifest.vocabulary_sha256 != VOCABULARY_SHA256:
        raise CheckpointError(f"{checkpoint}: written with another vocabulary than this program's")
    return manifest


def verify_own(checkpoint: Path, training_id: str) -> Manifest:
    """Verify a checkpoint and return its manifest; `CheckpointError` if it is damaged or of another training."""
    manifest = verify_checkpoint(checkpoint)
    if manifest.training_id != training_id:
        raise CheckpointError(f"{checkpoint}: a checkpoint of training {manifest.training_id}, not of {training_id}")
    return manifest


def list_checkpoints(parent: Path) -> list[Path]:
    """The directories in `parent` that bear a checkpoint's name, the newest (by step written) last."""
    if not parent.is_dir():
        return []
    written: dict[Path, float] = {}
    for path in parent.iterdir():
        # A trainer at work may have discarded it since.
        with suppress(FileNotFoundError):
            if NAME.fullmatch(path.name):
                written[path] = (path / MANIFEST).stat().st_mtime
    return sorted(written, key=written.__getitem__)


def newest_verified(parent: Path, training_id: str, *, with_optimizer: bool = False) -> tuple[Path, Manifest] | None:
    """The checkpoint of the highest step in `parent` that verifies and is of that training; others are passed over."""
    best: tuple[Path, Manifest] | None = None
    for path in list_checkpoints(parent):
        try:
            manifest = verify_own(path, training_id)
        except CheckpointError as error:
            log.warning("passed over: %s", error)
            continue
        if with_optimizer and OPTIMIZER not in manifest.files:
            continue
        if best is None or manifest.step >= best[1].step:
            best = path, manifest
    return best


def remove_checkpoint(checkpoint: Path) -> None:
    """Delete a checkpoint, its manifest first, so that a half-deleted one is not taken for whole."""
    (checkpoint / MANIFEST).unlink(missing_ok=True)
    shutil.rmtree(checkpoint, ignore_errors=True)
