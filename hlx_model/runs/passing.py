"""Which checkpoint of a completed training is passed on: the FINAL one, or the BEST one (`pass_on: best`).

What is passed on is evaluated, and the next phase starts from it. The choice changes no weight, so it is no part of the
training's id. `passed_on.json` in the training's directory records a BEST one; without that file it is the FINAL one.
"""

import logging
from pathlib import Path
from typing import Literal, cast, get_args

from hlx_model.checkpoints.manifest import CheckpointError, Manifest, directory_name
from hlx_model.checkpoints.progress import read_state
from hlx_model.checkpoints.seal import verify_checkpoint
from hlx_model.files import skipping, write_json
from hlx_model.json_model import JsonModel, PathComponent
from hlx_model.layout import CHECKPOINTS, MANIFEST, PASSED_ON, STATE, training_of
from hlx_model.runs.directory import TrainingResult

log = logging.getLogger(__name__)

PassOn = Literal["final", "best"]
"""Which checkpoint of a completed training is passed on."""


class _PassedOn(JsonModel):
    """The BEST checkpoint that a training passes on, and the setting that chose it."""

    checkpoint: PathComponent
    pass_on: Literal["best"] = "best"


def parse_pass_on(text: str) -> PassOn:
    """Return the setting that a user wrote; `ValueError` names those that exist."""
    if text not in get_args(PassOn):
        raise ValueError(f"pass_on is {text!r}: choose one of {', '.join(get_args(PassOn))}")
    return cast(PassOn, text)


def choose(result: TrainingResult, pass_on: PassOn) -> TrainingResult:
    """Return what a training that has ended passes on, and record it in its directory.

    A stopped training passes on its STOPPED checkpoint, and one whose last epoch was the best its FINAL one.

    Raises:
        CheckpointError: the BEST checkpoint is missing or damaged.
    """
    m, end = result.manifest, result.checkpoint
    record, best = training_of(end) / PASSED_ON, read_state(end).best_epoch
    if pass_on == "final" or m.stopped or best in (None, m.epoch):
        record.unlink(missing_ok=True)
        return result
    name = best_name(m, best)
    try:
        verified = verify_checkpoint(end.parent / name, training_id=m.training_id)
    except CheckpointError as error:
        raise CheckpointError(f"{error}; `pass_on: final` passes on {end.name}") from None
    write_json(record, _PassedOn(checkpoint=name).to_json())
    return TrainingResult(*verified, found=result.found)


def passed_on(training: Path) -> Path | None:
    """Return the BEST checkpoint that a training passes on in place of its FINAL one; None if it passes on none.

    Args:
        training: its directory.
    """
    with skipping(training / PASSED_ON, log.warning):
        if (training / PASSED_ON).exists():
            path = training / CHECKPOINTS / _PassedOn.read(training / PASSED_ON).checkpoint
            return path if (path / MANIFEST).is_file() else None
    return None


def pass_on_of(checkpoint: Path) -> Literal["best"] | None:
    """Return `best` if the training of a checkpoint passes it on as its best; else None."""
    found = passed_on(training_of(checkpoint))
    return "best" if found is not None and found.name == checkpoint.name else None


def final_beside(checkpoint: Path, manifest: Manifest) -> Path | None:
    """Return the FINAL checkpoint beside a BEST one; None for another kind, or if the training did not complete."""
    m = manifest
    path = checkpoint.parent / directory_name("FINAL", m.phase, m.epochs, 0)
    try:
        return verify_checkpoint(path, training_id=m.training_id, only=(STATE,)).path if m.kind == "BEST" else None
    except CheckpointError:
        return None


def best_name(manifest: Manifest, epoch: int) -> str:
    """Return the name of the BEST checkpoint of a training's epoch."""
    return directory_name("BEST", manifest.phase, epoch, 0)
