"""Checkpoints for the tests of the card, the export and the signature."""

import shutil
from dataclasses import replace
from pathlib import Path

from hlx_model.checkpoints.seal import verify_checkpoint
from hlx_model.training.loop import train
from hlx_model.training.plan import Overrides, plan_training
from tests.conftest import CPU, QUICK, Curriculum


def copied(curriculum: Curriculum, root: Path, phase: int) -> Path:
    """The FINAL checkpoint of a phase in a copy of the curriculum's artifacts, to change."""
    shutil.copytree(curriculum.root, root)
    return root / curriculum.phases[phase].checkpoint.relative_to(curriculum.root)


def trained(document: Path, root: Path, phase: int = 1, parent: Path | None = None, **overrides: object) -> Path:
    """The checkpoint that a short training ends with, FINAL or STOPPED; the gate of its parent is ignored."""
    settings = replace(Overrides(epochs=1, batch_size=4, learning_rate=1e-3), **overrides)  # type: ignore[arg-type]
    plan = plan_training(
        phase, QUICK, settings,
        corpus=[document], training=root / "training",
        parent=verify_checkpoint(parent) if parent else None, ungated=parent is not None,
    )  # fmt: skip
    return train(plan, execution=CPU).checkpoint


def stopped(document: Path, root: Path) -> Path:
    """A checkpoint whose training diverged."""
    checkpoint = trained(document, root, epochs=5, batch_size=1, learning_rate=10.0)
    assert "_STOPPED_" in checkpoint.name
    return checkpoint
