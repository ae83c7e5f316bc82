"""Find a checkpoint by its name: a path, `<training id>/<checkpoint>`, a training id, or an asset."""

from pathlib import Path

from hlx_model.checkpoints.manifest import CheckpointError, Manifest, read_manifest
from hlx_model.checkpoints.seal import list_checkpoints
from hlx_model.layout import CHECKPOINTS, DOCUMENT, EXAMPLES, Artifacts
from hlx_model.phases import CORPUS_OF_PHASE, PHASES
from hlx_model.provenance.events import last_materialized

_MIN_PREFIX = 4
"""Characters of a training id that suffice to name it."""
_NOT_CHECKPOINTS = (*CORPUS_OF_PHASE.values(), DOCUMENT, EXAMPLES, "training_history")
_CHECKPOINT_OF_ASSET = {
    asset: phase.checkpoint_asset
    for phase in PHASES.values()
    for asset in (phase.checkpoint_asset, phase.report_asset, phase.card_asset)
}
"""The asset of the checkpoint that an asset is, or reports on."""


def checkpoint_of(name: str, training: Path) -> Path:
    """Return the directory of the checkpoint that a user names.

    Args:
        name: the directory of a checkpoint or a training; `<training id>/<checkpoint>`; a training id or its first
            characters (its FINAL or STOPPED checkpoint, else its newest); an asset such as `phase3_checkpoint` or
            `phase3_validation_report` (its latest materialization).
        training: the folder of the trainings.

    Raises:
        CheckpointError: no checkpoint or several have this name.
    """
    path = Path(name)
    if path.is_dir():
        return _last_of(path) if (path / CHECKPOINTS).is_dir() else path
    if path.is_file():
        raise CheckpointError(f"{name}: a file: name the directory of a checkpoint")
    if name in _NOT_CHECKPOINTS:
        raise CheckpointError(f"{name}: not a checkpoint: use `hlx lineage show` for corpora, `hlx history` for all")
    if name in _CHECKPOINT_OF_ASSET:
        root = Artifacts(training).root
        if checkpoint := last_materialized(root).get(_CHECKPOINT_OF_ASSET[name]):
            return checkpoint
        raise CheckpointError(f"{name} was never materialized under {root}: materialize it, or name a path")
    identity, *rest = name.rstrip("/").split("/")
    if not rest:
        return _last_of(_training(name, training))
    if len(rest) > 1:
        raise CheckpointError(f"{name}: no such checkpoint")
    directory = _training(identity, training) / CHECKPOINTS / rest[0]
    if not directory.is_dir():
        raise CheckpointError(f"{name}: {directory.parents[1].name} has no checkpoint {rest[0]}")
    return directory


def readable_manifest(checkpoint: Path) -> Manifest | None:
    """Return the manifest of a checkpoint; None if it is missing, damaged or cannot be read."""
    try:
        return read_manifest(checkpoint)
    except (CheckpointError, OSError):
        return None


def end_of(training: Path) -> Path | None:
    """Return the FINAL or STOPPED checkpoint in a training's directory; None if the training has not ended."""
    ended = [p for p in list_checkpoints(training / CHECKPOINTS) if "_FINAL_" in p.name or "_STOPPED_" in p.name]
    return ended[-1] if ended else None


def _last_of(training: Path) -> Path:
    checkpoint = end_of(training) or next(reversed(list_checkpoints(training / CHECKPOINTS)), None)
    if checkpoint is None:
        raise CheckpointError(f"{training}: this training has no checkpoint yet")
    return checkpoint


def _training(name: str, training: Path) -> Path:
    if (training / name / CHECKPOINTS).is_dir():
        return training / name
    found = sorted(training.glob(f"{name}*/{CHECKPOINTS}")) if len(name) >= _MIN_PREFIX and name.isalnum() else []
    if len(found) == 1:
        return found[0].parent
    if found:
        ids = ", ".join(path.parent.name for path in found)
        raise CheckpointError(f"{name}: {len(found)} trainings begin with this: {ids}")
    raise CheckpointError(f"{name}: no such checkpoint, asset, or training in {training} (`hlx history` lists them)")
