"""What lies under a root of artifacts, as one looks at it who wants to remove some: only read, never changed.

Trainings with their checkpoints, which of them are at work, what a kill left half written, and what nobody can explain.
"""

import fcntl
import math
import os
import re
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from hlx_model.checkpoints.manifest import CheckpointError, Manifest, read_manifest
from hlx_model.layout import (
    CHECKPOINTS,
    HEARTBEAT,
    LOCK,
    MANIFEST,
    OPTIMIZER,
    SIGNATURE,
    STATE,
    WEIGHTS,
)
from hlx_model.runs.heartbeat import Heartbeat

CHECKPOINT_FILES = frozenset({MANIFEST, WEIGHTS, OPTIMIZER, STATE, SIGNATURE})
DAY = 24 * 3600.0
"""Seconds after which something half written is not being written any more."""
NAMED = re.compile(r"phase[123]_(?:(?:(?:BEST|FINAL|STOPPED)_)?epoch|LAST_step)\d+")
"""The name of a checkpoint."""
STOPPED = re.compile(r"stopped-(\d+)")
"""The name of a folder of what was stopped, and set aside to try again."""
VERSION = re.compile(r"[0-9a-f]{64}")
"""The name of a version of a corpus."""
_TRAINING_ID = re.compile(r"[0-9a-f]{16}")
_WRITTEN = (
    r"(?:heartbeat|milestones|watchdog|documents|derived|source|report|verdict)\.json"
    r"|metrics\.parquet|report\.(?:html|md)|loss\.svg|README\.md"
)
_LEFTOVER = re.compile(
    rf"\.(?:new-|(?:{NAMED.pattern}|{VERSION.pattern}|{STOPPED.pattern}|{_WRITTEN})(?:\.old)?\.)[a-z0-9_]{{8}}"
)
"""The names under which we write and remove, before it is done: `unfinished` and `staging` in `files.py`."""


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that was found."""

    path: Path
    manifest: Manifest | None
    """None where it cannot be read."""

    @property
    def names(self) -> set[str]:
        """What manifests, reports and users call it: `<training id>/<name>`, by its folder and by its manifest."""
        ids = {self.path.parents[1].name} | ({self.manifest.training_id} if self.manifest else set())
        return {f"{training_id}/{self.path.name}" for training_id in ids}

    @property
    def set_aside(self) -> int:
        """The number of the `stopped-N` folder that it lies in; 0 where it lies in none."""
        return number_set_aside(self.path.parent)


@dataclass(frozen=True)
class TrainingFiles:
    """The directory of a training."""

    directory: Path
    ours: bool
    """Whether it lies in the folder that is looked at; else in another beside it, that shares its corpora."""
    busy: bool
    checkpoints: tuple[Checkpoint, ...]
    halves: tuple[Path, ...]
    """Directories that bear a checkpoint's name and have no manifest."""

    @property
    def set_aside(self) -> list[Path]:
        """Its `stopped-N` folders."""
        return [path for path in entries(self.directory) if number_set_aside(path) and path.is_dir()]


def trainings(training: Path) -> list[TrainingFiles]:
    """The trainings in a folder, and in the folders beside it: they share corpora, and may be made from one another."""
    training = training.absolute()
    found = {path for path in entries(training) if path.is_dir()}
    for what in (CHECKPOINTS, "stopped-*"):
        found |= {path.parent for path in training.parent.glob(f"*/*/{what}")}
    for what in (LOCK, HEARTBEAT):
        # Beside the folder may lie anything; a program of another kind has its locks too.
        beside = (path.parent for path in training.parent.glob(f"*/*/{what}"))
        found |= {directory for directory in beside if _TRAINING_ID.fullmatch(directory.name)}
    looked = (_look(directory, ours=directory.parent == training) for directory in sorted(found))
    return [one for one in looked if one is not None]


def _look(directory: Path, *, ours: bool) -> TrainingFiles | None:
    if not any((directory / name).exists() for name in (CHECKPOINTS, LOCK, HEARTBEAT)) and not any(
        number_set_aside(path) for path in entries(directory)
    ):
        return None
    busy = is_active(directory)
    kept: list[Checkpoint] = []
    halves: list[Path] = []
    for folder in entries(directory):
        for path in entries(folder) if not folder.name.startswith(".") else ():
            named = NAMED.fullmatch(path.name) is not None
            if (path / MANIFEST).exists():
                manifest = _manifest(path)
                # What bears another name may be anything; and a trainer at work may have discarded it since.
                if manifest is not None or (named and (path / MANIFEST).exists()):
                    kept.append(Checkpoint(path, manifest))
            elif named and path.is_dir() and (folder.name == CHECKPOINTS or number_set_aside(folder)):
                halves.append(path)
    return TrainingFiles(directory, ours, busy, tuple(kept), tuple(halves))


def _manifest(checkpoint: Path) -> Manifest | None:
    try:
        return read_manifest(checkpoint)
    except (CheckpointError, OSError):
        return None


def number_set_aside(folder: Path) -> int:
    """N of a folder `stopped-N`; 0 of any other."""
    match = STOPPED.fullmatch(folder.name)
    return int(match[1]) if match else 0


def is_active(directory: Path) -> bool:
    """Whether a trainer is at work on a training: by its heartbeat, or its lock is held; also where nobody can tell."""
    if _alive(directory):
        return True
    try:
        with (directory / LOCK).open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False


@contextmanager
def hold_lock(directory: Path) -> Iterator[bool]:
    """Hold a training's lock, so that no trainer begins to work there; False where one is at work already."""
    if (directory / LOCK).is_symlink():
        yield False
        return
    with (directory / LOCK).open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield not _alive(directory)


def _alive(directory: Path) -> bool:
    beat = Heartbeat.read(directory)
    return beat is not None and beat.running and beat.alive


def entries(folder: Path) -> list[Path]:
    """What lies in a folder, by name; nothing where it is none. `PermissionError` where nobody can tell."""
    try:
        return sorted(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []


def linked(path: Path, root: Path) -> bool:
    """Whether the way from the root to a path leads over a symbolic link, or not below the root at all."""
    if not path.is_relative_to(root):
        return True
    below = path.relative_to(root).parts
    return ".." in below or any(root.joinpath(*below[: n + 1]).is_symlink() for n in range(len(below)))


def is_leftover(path: Path) -> bool:
    """Whether something bears a name under which we write or remove what is not yet done."""
    return _LEFTOVER.fullmatch(path.name) is not None


def leftovers(folder: Path) -> list[Path]:
    """What kills have left half written or half removed in a folder, a day ago or more."""
    now = time.time()
    return [path for path in entries(folder) if is_leftover(path) and now - last_written(path) > DAY]


def unexplained(directory: Path, known: Collection[str]) -> str | None:
    """The first name in a directory that is neither a file of a known name nor half written; None where all are."""
    for path in entries(directory):
        if path.is_symlink() or not (is_leftover(path) or (path.name in known and path.is_file())):
            return path.name
    return None


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files below a directory; links are not followed."""
    return sum(status.st_size for status in _statuses(path, directories=False))


def last_written(path: Path) -> float:
    """When a file, or the last one of what lies below a directory, was written, in Unix seconds."""
    return max((status.st_mtime for status in _statuses(path, directories=True)), default=math.inf)


def _statuses(path: Path, *, directories: bool) -> Iterator[os.stat_result]:
    paths = [str(path)] if directories or path.is_symlink() or not path.is_dir() else []
    if not path.is_symlink():
        for folder, inner, files in os.walk(path):
            paths += [os.path.join(folder, name) for name in (*files, *(inner if directories else ()))]  # noqa: PTH118
    for name in paths:
        # A trainer at work may have removed it since.
        with suppress(OSError):
            yield os.lstat(name)
