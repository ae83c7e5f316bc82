"""What is under a root of artifacts: trainings, links, leftovers, sizes. Nothing here changes a file but the lock."""

import fcntl
import math
import os
import re
import stat
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from hlx_model import layout
from hlx_model.checkpoints.manifest import Manifest
from hlx_model.layout import FolderKind
from hlx_model.provenance.lookup import readable_manifest
from hlx_model.runs.directory import AlreadyRunning, training_lock
from hlx_model.runs.heartbeat import Heartbeat

DAY = 24 * 3600.0
"""Seconds after which a leftover is certainly not being written any more."""
STOPPED = re.compile(r"stopped-\d+")
"""The name of a folder in which version 0.1.0 kept the checkpoints of a stopped attempt."""
_LEFTOVER = re.compile(r"\.(?:new-|(.+?)(?:\.old)?\.)[a-z0-9_]{8}")
"""The names that `unfinished` and `staging` in `files.py` give; the group is what was to be written or removed."""


class Training(NamedTuple):
    """The directory of a training, and what is in it."""

    directory: Path
    ours: bool
    """Whether it is in the folder to clean. Trainings in folders beside it share its corpora."""
    active: bool
    checkpoints: dict[Path, Manifest | None]
    """None if the manifest cannot be read."""


def find_trainings(training: Path) -> list[Training]:
    """Return the trainings in a folder and in the folders beside it, by path.

    Raises:
        PermissionError: a folder cannot be read.
    """
    is_written_by_hlx = layout.TRAINING_FOLDER.has
    found = {path for path in entries(training) if any(is_written_by_hlx(inner.name) for inner in entries(path))}
    for name in (layout.CHECKPOINTS, "stopped-*", layout.LOCK, layout.HEARTBEAT):
        beside = {path.parent for path in training.parent.glob(f"*/*/{name}")}
        # Other programs have lock files too.
        certain = name not in (layout.LOCK, layout.HEARTBEAT)
        found |= {path for path in beside if certain or re.fullmatch(layout.TRAINING_ID, path.name)}
    return [_read_training(directory, ours=directory.parent == training) for directory in sorted(found)]


def _read_training(directory: Path, *, ours: bool) -> Training:
    active = is_active(directory)
    checkpoints: dict[Path, Manifest | None] = {}
    folders = [folder for folder in entries(directory) if not folder.name.startswith(".")]
    paths = [path for folder in folders for path in entries(folder) if not is_leftover(path)]
    for path in paths:
        if (path / layout.MANIFEST).exists():
            manifest = readable_manifest(path)
            named = re.fullmatch(layout.CHECKPOINT_NAME, path.name)
            # Under another name it may be anything. And a trainer may have removed it in the meantime.
            if manifest is not None or (named and (path / layout.MANIFEST).exists()):
                checkpoints[path] = manifest
    return Training(directory, ours, active, checkpoints)


def is_active(directory: Path) -> bool:
    """Return whether a trainer may be running in a directory: by its heartbeat, or because its lock is taken."""
    try:
        with (directory / layout.LOCK).open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return _alive(directory)
    except OSError:
        return True
    return _alive(directory)


@contextmanager
def hold_lock(directory: Path) -> Iterator[bool]:
    """Hold the lock of a training, so that no trainer can start there; yield False if one is running already."""
    with ExitStack() as stack:
        free = not (directory / layout.LOCK).is_symlink()
        if free:
            try:
                stack.enter_context(training_lock(directory))
            except AlreadyRunning:
                free = False
        yield free and not _alive(directory)


def _alive(directory: Path) -> bool:
    beat = Heartbeat.read(directory)
    return beat is not None and beat.running and beat.alive


def entries(folder: Path) -> list[Path]:
    """Return what is in a folder, by name; nothing if it is no folder. `PermissionError` if it cannot be read."""
    try:
        return sorted(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []


def is_linked(path: Path, root: Path) -> bool:
    """Return whether the way from the root to a path leads over a symbolic link, or out of the root."""
    if not path.is_relative_to(root):
        return True
    parts = path.relative_to(root).parts
    return ".." in parts or any(root.joinpath(*parts[: n + 1]).is_symlink() for n in range(len(parts)))


def is_leftover(path: Path) -> bool:
    """Return whether hlx uses this name while it writes or removes something."""
    match = _LEFTOVER.fullmatch(path.name)
    if match is None:
        return False
    if match[1] is None:
        return True  # `.new-` and a random ending
    if re.fullmatch(f"{layout.CHECKPOINT_NAME}|{layout.DATA_VERSION}|{STOPPED.pattern}", match[1]):
        return True
    is_file = "." in match[1]
    return is_file and (match[1] in layout.RECORDS or any(kind.has(match[1]) for kind in layout.FOLDERS))


def leftovers(folder: Path) -> Iterator[tuple[Path, str]]:
    """Yield what killed programs left half written or half removed in a folder, each with the reason."""
    has_checkpoints = folder.name == layout.CHECKPOINTS or STOPPED.fullmatch(folder.name)
    for path in (path for path in entries(folder) if not path.is_symlink()):
        if is_leftover(path) and time.time() - last_written(path) > DAY:
            yield path, "half written or half removed, more than a day ago"
        elif has_checkpoints and _is_incomplete(path):
            yield path, "a checkpoint without its manifest"


def _is_incomplete(path: Path) -> bool:
    named = path.is_dir() and re.fullmatch(layout.CHECKPOINT_NAME, path.name)
    return bool(named) and not (path / layout.MANIFEST).exists() and not foreign_file(path, layout.CHECKPOINT_FOLDER)


def foreign_file(directory: Path, kind: FolderKind) -> str | None:
    """Return the first name in a directory of this kind that is a link or that hlx does not write; None without one."""
    for path in entries(directory):
        if path.is_symlink() or not (is_leftover(path) or (kind.has(path.name) and path.is_file())):
            return path.name
    return None


def size_of(path: Path) -> int:
    """Return the bytes of a file, or of all files below a directory. Links are not followed."""
    return sum(status.st_size for status in _statuses(path) if not stat.S_ISDIR(status.st_mode))


def last_written(path: Path) -> float:
    """Return when a file, or the newest file below a directory, was written, in Unix seconds."""
    return max((status.st_mtime for status in _statuses(path)), default=math.inf)


def _statuses(path: Path) -> Iterator[os.stat_result]:
    found = [path]
    if not path.is_symlink():
        found += (Path(folder, name) for folder, inner, files in os.walk(path) for name in (*inner, *files))
    for one in found:
        with suppress(OSError):  # a trainer may have removed it in the meantime
            yield one.lstat()
