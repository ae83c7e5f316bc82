"""Find a checkpoint by its name: a path, `<training id>/<checkpoint>`, a training id, or an asset."""

from pathlib import Path

from hlx_model.checkpoints.manifest import CheckpointError, Manifest, read_manifest
from hlx_model.checkpoints.seal import list_checkpoints
from hlx_model.layout import (
    CHECKPOINTS,
    DOCUMENT,
    EVALUATION,
    EVALUATION_DOCUMENT,
    EXAMPLES,
    Artifacts,
    missing_training,
)
from hlx_model.phases import CORPUS_OF_PHASE, PHASES
from hlx_model.provenance.events import last_materialized
from hlx_model.runs.passing import passed_on

_MIN_PREFIX = 4
"""Characters of a training id that suffice to name it."""
CORPORA = (*CORPUS_OF_PHASE.values(), EXAMPLES, DOCUMENT, EVALUATION, EVALUATION_DOCUMENT)
"""The assets of corpora and evaluations, each before what it was made from."""
DOCUMENT_OF = {EXAMPLES: DOCUMENT, EVALUATION: EVALUATION_DOCUMENT}
"""The asset of the documents that examples are read from."""
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
            characters (the checkpoint that it passes on, else its newest); an asset such as `phase3_checkpoint` or
            `phase3_validation_report` (its latest materialization).
        training: the folder of the trainings.

    Raises:
        CheckpointError: no checkpoint or several have this name, or the folder of the trainings is missing.
    """
    path = Path(name)
    if path.is_dir():
        return _last_of(path) if (path / CHECKPOINTS).is_dir() else path
    if path.is_file():
        raise CheckpointError(f"{name}: a file: name the directory of a checkpoint")
    if name in (*CORPORA, "training_history"):
        raise CheckpointError(f"{name}: not a checkpoint: use `hlx lineage show` for corpora, `hlx history` for all")
    if not training.is_dir():
        raise CheckpointError(f"{name}: no such checkpoint: {missing_training(training)}")
    if name in _CHECKPOINT_OF_ASSET:
        root = Artifacts(training).root
        if materialized := last_materialized(root).get(_CHECKPOINT_OF_ASSET[name]):
            return materialized
        raise CheckpointError(f"{name} was never materialized under {root}: materialize it, or name a path")
    directory, checkpoint = _training(name, training), name.rstrip("/").partition("/")[2]
    if not checkpoint:
        return _last_of(directory)
    if not (directory / CHECKPOINTS / checkpoint).is_dir():
        raise CheckpointError(f"{name}: {directory.name} has no checkpoint {checkpoint}")
    return directory / CHECKPOINTS / checkpoint


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
    newest_first = reversed(list_checkpoints(training / CHECKPOINTS))
    checkpoint = passed_on(training) or end_of(training) or next(newest_first, None)
    if checkpoint is None:
        raise CheckpointError(f"{training}: this training has no checkpoint yet")
    return checkpoint


def _training(name: str, training: Path) -> Path:
    """Return the training of the id, or of its first characters, with which a name begins."""
    begin = name.partition("/")[0]
    if (training / begin / CHECKPOINTS).is_dir():
        return training / begin
    found = sorted(training.glob(f"{begin}*/{CHECKPOINTS}")) if len(begin) >= _MIN_PREFIX and begin.isalnum() else []
    if len(found) == 1:
        return found[0].parent
    if found:
        ids = ", ".join(path.parent.name for path in found)
        raise CheckpointError(f"{begin}: {len(found)} trainings begin with this: {ids}")
    raise CheckpointError(f"{name}: no such checkpoint, asset, or training in {training} (`hlx history` lists them)")
