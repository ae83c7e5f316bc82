"""What a kept corpus was made from: JSON files beside it, which its name does not cover.

The same content may come from other sources: a document that was moved, or that got a remark at its end. So a directory
can have several records. Each is written once and never changed: the first with the content (`documents.json`), each
other one as `documents-<digest>.json`. The newest is the one that was made last; making one again touches it.
"""

import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from hlx_model.corpus.entries import CorpusError
from hlx_model.files import digest_of, read_json, write_json
from hlx_model.json_model import JsonModel

Model = TypeVar("Model", bound=JsonModel)


def write_record(directory: Path, name: str, content: Sequence[JsonModel]) -> None:
    """Write the first record of a directory that is being made."""
    write_json(directory / name, [item.to_json() for item in content])


def add_record(directory: Path, name: str, content: Sequence[JsonModel]) -> None:
    """Make a record the newest of those called `name`; a file is only added if none has this content."""
    items = [item.to_json() for item in content]
    for path in records(directory, name):
        with suppress(ValueError):
            if read_json(path) == items:
                touch(path)
                return
    stem, suffix = Path(name).stem, Path(name).suffix
    write_json(directory / f"{stem}-{digest_of(items)[:16]}{suffix}", items)


def records(directory: Path, name: str) -> list[Path]:
    """Return the records called `name` of a directory, the newest first."""
    stem, suffix = Path(name).stem, Path(name).suffix
    first = directory / name
    return newest_first([*([first] if first.exists() else []), *directory.glob(f"{stem}-*{suffix}")])


def read_record(directory: Path, name: str, model: type[Model]) -> tuple[Model, ...]:
    """Return the newest record called `name`, empty if there is none.

    Raises:
        CorpusError: it cannot be read; the message names file and field.
    """
    return _read(found[0], model) if (found := records(directory, name)) else ()


def all_records(directory: Path, name: str, model: type[Model]) -> list[tuple[Model, ...]]:
    """Return all records called `name`, the newest first; errors as for `read_record`."""
    return [_read(path, model) for path in records(directory, name)]


def _read(path: Path, model: type[Model]) -> tuple[Model, ...]:
    try:
        return tuple(model.from_json(item) for item in read_json(path))
    except (ValueError, TypeError) as error:
        raise CorpusError(f"{path}: cannot be read ({error}): make the corpus again from its documents") from None


def newest_first(paths: Iterable[Path]) -> list[Path]:
    """Return files, the one that was written or touched last first."""
    return sorted(paths, key=lambda path: (path.stat().st_mtime_ns, path.name), reverse=True)


def touch(path: Path) -> None:
    """Make a file the newest; on a read-only disk, or if the file is somebody else's, the order stays."""
    with suppress(OSError):
        os.utime(path)
