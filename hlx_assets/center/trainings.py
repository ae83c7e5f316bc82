"""What the Center reads of a training's directory: its phase, its row of figures, the verdict and report on it.

A file that has not changed since is not read again.
"""

import re
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from hlx_assets.center.context import Center, CenterError
from hlx_model.checkpoints.manifest import CheckpointError, Manifest
from hlx_model.checkpoints.seal import list_checkpoints
from hlx_model.evaluation.verdict import Verdict
from hlx_model.files import UNREADABLE
from hlx_model.layout import CHECKPOINTS, REPORT, TRAINING_ID, VERDICT, Artifacts
from hlx_model.provenance.lookup import checkpoint_of, readable_manifest
from hlx_model.reporting.models import Report
from hlx_model.runs.heartbeat import Heartbeat
from hlx_model.verdicts import GateClosed


def training_named(center: Center, training_id: str) -> Path:
    """Return the directory of a training.

    Raises:
        CenterError: 422: this is no training's id; 404: there is none of this id.
    """
    if not re.fullmatch(TRAINING_ID, training_id):
        raise CenterError(422, "a training's id has 16 hexadecimal digits: GET /api/checkpoints lists them")
    if not (directory := center.artifacts.training / training_id).is_dir():
        raise CenterError(404, f"there is no training {training_id}: GET /api/checkpoints lists the checkpoints")
    return directory


def phase_of(training: Path) -> int | None:
    """Return the phase of a training by its heartbeat, else by a checkpoint; None if it has neither."""
    if beat := Heartbeat.read(training):
        return beat.phase
    manifests = map(readable_manifest, list_checkpoints(training / CHECKPOINTS))
    return next((manifest.phase for manifest in manifests if manifest), None)


def checkpoint_in(training: Path) -> Path | None:
    """Return the checkpoint that a training passes on, else its newest; None without one."""
    with suppress(CheckpointError):
        return checkpoint_of(str(training), training.parent) if (training / CHECKPOINTS).is_dir() else None
    return None


def judged(training: Path) -> tuple[Verdict | None, Report | None]:
    """Return the verdict and the report on the checkpoint that a training passes on.

    Each is None if it is missing, is on other weights, or cannot be read.
    """
    checkpoint = checkpoint_in(training)
    manifest = readable_manifest(checkpoint) if checkpoint else None
    return judged_on(checkpoint, manifest) if checkpoint and manifest else (None, None)


def judged_on(checkpoint: Path, manifest: Manifest) -> tuple[Verdict | None, Report | None]:
    """Return the verdict and the report on a checkpoint with this manifest, as `judged` does."""
    folder = Artifacts.of_checkpoint(checkpoint).report(checkpoint)
    verdict, report = _verdict(folder, _stamp(folder / VERDICT)), _report(folder / REPORT, _stamp(folder / REPORT))
    return (
        verdict if verdict and verdict.weights_sha256 == manifest.weights_sha256 else None,
        report if report and report.weights_sha256 == manifest.weights_sha256 else None,
    )


def _stamp(path: Path) -> tuple[int, int, int] | None:
    """Return what is another one when a file was written again; None without the file."""
    with suppress(OSError):
        found = path.stat()
        return found.st_mtime_ns, found.st_size, found.st_ino
    return None


@lru_cache(maxsize=512)
def _verdict(folder: Path, stamp: object) -> Verdict | None:
    with suppress(GateClosed):
        return Verdict.read(folder) if stamp else None
    return None


@lru_cache(maxsize=512)
def _report(path: Path, stamp: object) -> Report | None:
    with suppress(*UNREADABLE):
        return Report.read_current(path) if stamp else None
    return None
