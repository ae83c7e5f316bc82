"""Remove what is not marked: plan it first, check each item again before it is removed."""

import itertools
import os
import re
import shutil
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path

from hlx_model import layout
from hlx_model.checkpoints.seal import remove_checkpoint
from hlx_model.cleanup.disk import foreign_file, hold_lock, is_leftover, is_linked, old_leftovers, size_of
from hlx_model.cleanup.mark import OLD_ATTEMPT, Kept, Marks
from hlx_model.files import unfinished
from hlx_model.provenance.lookup import end_of


@dataclass(frozen=True)
class Removal:
    """Something that no kept checkpoint needs."""

    path: Path
    group: str
    """A key of `GROUPS`."""
    reason: str
    bytes: int
    training: Path | None = None
    """The directory of the training that it lies in, whose lock is held to remove it."""


@dataclass(frozen=True)
class CleanupPlan:
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


@dataclass(frozen=True)
class CleanupResult:
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
        raise ValueError(f"{training} contains no training: name the folder of the trainings with --checkpoint-dir")
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
        for directory, items in itertools.groupby(chosen, key=lambda item: item.training):
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
    return CleanupPlan(
        marks.artifacts.training,
        tuple(_removals(marks)),
        tuple(Kept(path, reason) for path, reason in marks.kept.items() if reason),
        tuple(marks.notes),
        frozenset(path for path in marks.ended.values() if path),
    )


def _removals(marks: Marks) -> Iterator[Removal]:
    """Return what is not marked: by training, then what lies outside of them. Within both, leftovers are the last."""
    unmarked: dict[Path | None, list[Removal]] = defaultdict(list)
    for path, artifact in marks.all.items():
        if path not in marks.kept:
            place = artifact.training.directory if artifact.training else None
            unmarked[place].append(Removal(path, artifact.group, artifact.removal_reason, size_of(path), place))
    for one in marks.trainings:
        directory = one.directory
        if not one.ours or one.active or is_linked(directory, marks.root):
            continue
        yield from unmarked[directory]
        for path in one.incomplete:
            if not is_linked(path, marks.root) and not foreign_file(path, layout.CHECKPOINT_FOLDER):
                yield Removal(path, "leftover", "a checkpoint without its manifest", size_of(path), directory)
        yield from _leftovers(marks, (directory, directory / layout.CHECKPOINTS), directory)
    yield from unmarked[None]
    kinds = (layout.CORPUS_FOLDER, layout.REPORT_FOLDER, layout.CARD_FOLDER, layout.CORPUS_REPORT_FOLDER)
    parents = {path for kind in kinds for path in marks.root.glob(kind.parent) if path.is_dir()}
    inner = {path for path, artifact in marks.all.items() if artifact.training is None and path in marks.kept}
    yield from _leftovers(marks, (marks.artifacts.training, *sorted(parents | inner)))


def _leftovers(marks: Marks, folders: Iterable[Path], training: Path | None = None) -> Iterator[Removal]:
    for folder in folders:
        for path in () if is_linked(folder, marks.root) else old_leftovers(folder):
            if path not in marks.materialized:
                reason = "half written or half removed, more than a day ago"
                yield Removal(path, "leftover", reason, size_of(path), training)


def _still_ended(item: Removal) -> bool:
    """Return, while the lock is held, whether the training whose checkpoint is to be removed has still ended."""
    return item.training is None or item.group == "leftover" or end_of(item.training) is not None


def _remove(item: Removal) -> bool:
    """Remove something, and return whether it is gone."""
    path = hidden = item.path
    with suppress(OSError):
        if re.fullmatch(layout.CHECKPOINT_NAME, path.name) and item.training is not None:
            remove_checkpoint(path)
        elif path.is_dir():
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
