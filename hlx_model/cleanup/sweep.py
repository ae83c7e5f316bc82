"""Remove what no kept checkpoint needs: `hlx clean`. What that is, the rules in `needs.py` say."""

import itertools
import os
import shutil
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path

from hlx_model.checkpoints.seal import remove_checkpoint
from hlx_model.cleanup import inventory
from hlx_model.cleanup.mark import (
    GROUPS,
    CleanupPlan,
    Kept,
    Removal,
    Rules,
)
from hlx_model.files import unfinished
from hlx_model.provenance.lookup import end_of

__all__ = ["GROUPS", "CleanupPlan", "CleanupResult", "Kept", "Removal", "carry_out", "plan_cleanup"]


@dataclass(frozen=True)
class CleanupResult:
    """What was removed, and what of the plan was not."""

    removed: tuple[Removal, ...]
    spared: tuple[Kept, ...]
    """Because it is needed or worked on by now."""
    failed: tuple[Kept, ...]
    """Because the disk refused."""


def plan_cleanup(training: Path) -> CleanupPlan:
    """What may go of the artifacts that belong to a folder of trainings; nothing is written.

    Raises `ValueError` where the folder holds no training and has no corpora beside it.
    """
    training = training.absolute()
    if training.name in ("", ".."):
        raise ValueError(f"{training}: name the folder of the trainings itself")
    if training.exists() and not training.is_dir():
        raise ValueError(f"{training} is a file: name the folder of the trainings")
    rules = Rules(training)
    if not any(one.ours for one in rules.trainings) and not (rules.root / "corpora").is_dir():
        raise ValueError(f"{training} holds no training: name the folder of the trainings with --checkpoint-dir")
    return rules.plan()


def carry_out(plan: CleanupPlan) -> CleanupResult:
    """Remove what goes by a plan and still may go; a training's lock is held while something of it is removed.

    Killed in the middle it leaves nothing that is half there but for what the next plan names.
    """
    removed: list[Removal] = []
    spared: list[Kept] = []
    failed: list[Kept] = []
    # Checkpoints first: where one is spared, so is what it needs.
    for of_trainings in (True, False):
        may_go = {item.path for item in Rules(plan.training, plan.ended).plan().goes}
        chosen = [item for item in plan.goes if (item.training is not None) == of_trainings]
        for directory, items in itertools.groupby(chosen, key=lambda item: item.training):
            try:
                with inventory.hold_lock(directory) if directory else nullcontext(True) as free:
                    for item in items:
                        if not free or item.path not in may_go or not _still_ended(item):
                            spared.append(Kept(item.path, "needed, or worked on, by now"))
                        elif _gone(item):
                            removed.append(item)
                        else:
                            failed.append(Kept(item.path, "could not be removed"))
            except OSError as error:
                failed.append(Kept(directory or plan.training, f"could not be removed: {error.strerror}"))
    return CleanupResult(tuple(removed), tuple(spared), tuple(failed))


def _still_ended(item: Removal) -> bool:
    """Asked while the lock is held: whether a training whose checkpoints go has still ended."""
    if item.training is None or item.group == "leftover":
        return True
    return end_of(item.training) is not None


def _gone(item: Removal) -> bool:
    """Remove it; whether it is gone."""
    path = hidden = item.path
    with suppress(OSError):
        if item.group == "checkpoint" or (item.training is not None and inventory.NAMED.fullmatch(path.name)):
            remove_checkpoint(path)
        elif path.is_dir():
            if not inventory.is_leftover(path):
                # Whole or not at all: a version without one of its files would be taken for a damaged one.
                hidden = path.rename(unfinished(path))
            shutil.rmtree(hidden)
        else:
            path.unlink(missing_ok=True)
        if item.group == "report":
            with suppress(OSError):  # another report lies there
                path.parent.rmdir()
    return not os.path.lexists(path) and not os.path.lexists(hidden)
