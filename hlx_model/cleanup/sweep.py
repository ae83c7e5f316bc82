"""Remove what is not marked: plan it first, check each item again before it is removed."""

import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import NamedTuple

from hlx_model import layout
from hlx_model.cleanup.disk import entries, hold_lock, is_leftover, is_linked, leftovers, size_of
from hlx_model.cleanup.mark import OLD_ATTEMPT, Kept, Marks
from hlx_model.files import unfinished
from hlx_model.provenance.lookup import end_of


class Removal(NamedTuple):
    """Something that no kept checkpoint needs."""

    path: Path
    group: str
    """A key of `GROUPS`."""
    reason: str
    bytes: int
    training: Path | None = None
    """The directory of the training that it lies in, whose lock is held to remove it."""


class CleanupPlan(NamedTuple):
    """What is removed and what is kept of one root of artifacts."""

    training: Path
    goes: tuple[Removal, ...]
    stays: tuple[Kept, ...]
    notes: tuple[str, ...]
    """Why more is kept than necessary."""
    ended: frozenset[Path]
    """The FINAL and STOPPED checkpoints that were hashed and are complete."""

    @property
    def bytes(self) -> int:
        """The bytes that removing it frees."""
        return sum(item.bytes for item in self.goes)


class CleanupResult(NamedTuple):
    """What was removed, and what of the plan was not."""

    removed: tuple[Removal, ...]
    spared: tuple[Kept, ...]
    """Needed or in use by now."""
    failed: tuple[Kept, ...]
    """The disk refused."""


def plan_cleanup(training: Path) -> CleanupPlan:
    """Return what may be removed of the artifacts that belong to a folder of trainings; nothing is written.

    Raises:
        ValueError: the folder contains no training and has no corpora beside it.
    """
    training = training.absolute()
    if training.name in ("", ".."):
        raise ValueError(f"{training}: name the folder of the trainings itself")
    if training.exists() and not training.is_dir():
        raise ValueError(f"{training} is a file: name the folder of the trainings")
    marks = Marks(training)
    if not any(one.ours for one in marks.trainings) and not (marks.root / "corpora").is_dir():
        empty = f"{training} contains no training: name the folder of the trainings with --checkpoint-dir"
        raise ValueError(empty if training.is_dir() else layout.missing_training(training))
    return _plan(marks)


def carry_out(plan: CleanupPlan) -> CleanupResult:
    """Remove what a plan names and still may go. The lock of a training is held while something of it is removed.

    A kill in the middle leaves nothing half removed but what the next plan names.
    """
    removed: list[Removal] = []
    spared: list[Kept] = []
    failed: list[Kept] = []
    # Checkpoints first: if one is spared, so is what it needs.
    for of_trainings in (True, False):
        may_go = {item.path for item in _plan(Marks(plan.training, plan.ended)).goes}
        chosen = [item for item in plan.goes if (item.training is not None) == of_trainings]
        for directory in dict.fromkeys(item.training for item in chosen):
            items = [item for item in chosen if item.training == directory]
            try:
                with hold_lock(directory) if directory else nullcontext(True) as free:
                    for item in items:
                        if not free or item.path not in may_go or not _still_ended(item):
                            spared.append(Kept(item.path, "needed or in use by now"))
                        elif _remove(item):
                            removed.append(item)
                        else:
                            failed.append(Kept(item.path, "could not be removed"))
            except OSError as error:
                failed.append(Kept(directory or plan.training, f"could not be removed: {error.strerror}"))
    return CleanupResult(tuple(removed), tuple(spared), tuple(failed))


def _plan(marks: Marks) -> CleanupPlan:
    kept = tuple(Kept(path, reason) for path, reason in marks.kept.items() if reason)
    ended = frozenset(path for path in marks.ended.values() if path)
    return CleanupPlan(marks.artifacts.training, tuple(_removals(marks)), kept, tuple(marks.notes), ended)


def _removals(marks: Marks) -> Iterator[Removal]:
    """Yield what is not marked, checkpoints first, then leftovers."""
    for path, artifact in marks.all.items():
        if path not in marks.kept:
            directory = artifact.training.directory if artifact.training else None
            yield Removal(path, artifact.group, artifact.removal_reason, size_of(path), directory)
    for one in marks.trainings:
        if one.ours and not one.active:
            inner = [path for path in entries(one.directory) if layout.TRAINING_FOLDER.has(path.name)]
            yield from _leftovers(marks, (one.directory, *inner), one.directory)
    reports = (layout.REPORT_FOLDER, layout.CARD_FOLDER, layout.BASELINES_FOLDER, layout.CORPUS_REPORT_FOLDER)
    kinds = (layout.CORPUS_FOLDER, *reports)
    parents = {path for kind in kinds for path in marks.root.glob(kind.parent)}
    kept = {path for path, artifact in marks.all.items() if artifact.training is None and path in marks.kept}
    yield from _leftovers(marks, (marks.artifacts.training, *sorted(parents | kept)))


def _leftovers(marks: Marks, folders: Iterable[Path], training: Path | None = None) -> Iterator[Removal]:
    for folder in folders:
        if is_linked(folder, marks.root):
            continue
        for path, reason in leftovers(folder):
            if path not in marks.materialized.values():
                yield Removal(path, "leftover", reason, size_of(path), training)


def _still_ended(item: Removal) -> bool:
    """Return, while the lock is held, whether the training whose checkpoint is to be removed has still ended."""
    return item.training is None or item.group == "leftover" or end_of(item.training) is not None


def _remove(item: Removal) -> bool:
    """Remove something, and return whether it is gone."""
    path = hidden = item.path
    with suppress(OSError):
        if path.is_dir():
            if not is_leftover(path):
                # First under another name: a folder without one of its files would be taken for a damaged one.
                hidden = path.rename(unfinished(path))
            shutil.rmtree(hidden)
        else:
            path.unlink(missing_ok=True)
        if item.group in ("report", OLD_ATTEMPT):
            with suppress(OSError):  # not empty
                path.parent.rmdir()
    return not os.path.lexists(path) and not os.path.lexists(hidden)
