"""A checkpoint by its name: a path, `<training id>/<checkpoint>`, a training id, or an asset of the graph."""

from pathlib import Path

from hlx_model.checkpoints.manifest import CheckpointError
from hlx_model.checkpoints.seal import list_checkpoints
from hlx_model.layout import Artifacts
from hlx_model.phases import CORPUS_OF_PHASE
from hlx_model.provenance.events import read_events

_SHORTEST = 4


def checkpoint_of(name: str, training: Path) -> Path:
    """The checkpoint that a user names.

    Args:
        name: the directory of a checkpoint or a training; `<training id>/<checkpoint>`; a training id or its
            beginning (its FINAL or STOPPED checkpoint, else its newest); an asset such as `phase3_checkpoint` or
            `phase3_validation_report` (what it was last materialized to).
        training: the folder of the trainings.

    Raises `CheckpointError` where there is none, or several.
    """
    path = Path(name)
    if path.is_dir():
        return _end(path) if (path / "checkpoints").is_dir() else path
    if path.is_file():
        raise CheckpointError(f"{name}: a file: name the directory of a checkpoint")
    if name in (*CORPUS_OF_PHASE.values(), "corpus_document", "corpus_examples", "training_history"):
        raise CheckpointError(f"{name}: no checkpoint: `hlx lineage show` knows corpora, `hlx history` the history")
    parts = name.rstrip("/").split("/")
    if len(parts) == 2:
        directory = _training(parts[0], training) / "checkpoints" / parts[1]
        if directory.is_dir():
            return directory
        raise CheckpointError(f"{name}: {directory.parents[1].name} has no checkpoint {parts[1]}")
    if len(parts) > 2:
        raise CheckpointError(f"{name}: no such checkpoint")
    if found := of_asset(name, Artifacts(training)):
        return found
    return _end(_training(name, training))


def end_of(training: Path) -> Path | None:
    """The FINAL or STOPPED checkpoint in a training's directory; None where it has not ended."""
    ended = [p for p in list_checkpoints(training / "checkpoints") if "_FINAL_" in p.name or "_STOPPED_" in p.name]
    return ended[-1] if ended else None


def _end(training: Path) -> Path:
    found = end_of(training) or next(reversed(list_checkpoints(training / "checkpoints")), None)
    if found is None:
        raise CheckpointError(f"{training}: this training has no checkpoint yet")
    return found


def of_asset(name: str, artifacts: Artifacts) -> Path | None:
    """The checkpoint that an asset was last materialized to, or reports on; None where `name` is no such asset."""
    phase, _, what = name.partition("_")
    if phase not in ("phase1", "phase2", "phase3") or what not in ("checkpoint", "validation_report", "model_card"):
        return None
    made = [event for event in read_events(artifacts.root) if event.asset == f"{phase}_checkpoint"]
    if not made:
        raise CheckpointError(f"{name} was never materialized under {artifacts.root}: materialize it, or name a path")
    return artifacts.root / made[-1].artifact


def _training(name: str, training: Path) -> Path:
    if (training / name / "checkpoints").is_dir():
        return training / name
    found = sorted(training.glob(f"{name}*/checkpoints")) if len(name) >= _SHORTEST and name.isalnum() else []
    if len(found) == 1:
        return found[0].parent
    if found:
        raise CheckpointError(f"{name}: {len(found)} trainings begin so: {', '.join(p.parent.name for p in found)}")
    raise CheckpointError(f"{name}: no such checkpoint, asset, or training in {training} (`hlx history` lists them)")
