"""What a kept corpus was made from: JSON files beside it, which its name does not cover.

The same content may come from other sources: a document that was moved, or that got a remark at its end. So a directory
can have several records. Each is written once and never changed: the first with the content (`documents.json`), each
other one as `documents-<digest>.json`. The newest is the one that was made last; making one again touches it.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from hlx_model.corpus.entries import CorpusError
from hlx_model.files import digest_of, read_json, write_json
from hlx_model.json_model import JsonModel

Model = TypeVar("Model", bound=JsonModel)


def add_record(directory: Path, name: str, content: Sequence[JsonModel]) -> None:
    """Make a record the newest of those called `name`; a file is only added if none has this content."""
    items = [item.to_json() for item in content]
    found = records(directory, name)
    for path in found:
        with suppress(ValueError):
            if read_json(path) == items:
                touch(path)
                return
    path = directory / name
    write_json(path.with_stem(f"{path.stem}-{digest_of(items)[:16]}") if found else path, items)


def records(directory: Path, name: str) -> list[Path]:
    """Return the records called `name` of a directory, the newest first."""
    path = Path(name)
    return newest_first([*directory.glob(name), *directory.glob(f"{path.stem}-*{path.suffix}")])


def read_record(directory: Path, name: str, model: type[Model]) -> tuple[Model, ...]:
    """Return the newest record called `name`, empty if there is none.

    Raises:
        CorpusError: it cannot be read; the message names file and field.
    """
    return next(all_records(directory, name, model), ())


def all_records(directory: Path, name: str, model: type[Model]) -> Iterator[tuple[Model, ...]]:
    """Yield all records called `name`, the newest first; errors as for `read_record`."""
    for path in records(directory, name):
        try:
            yield tuple(model.from_json(item) for item in read_json(path))
        except (ValueError, TypeError) as error:
            raise CorpusError(f"{path}: cannot be read ({error}): make the corpus again from its documents") from None


def newest_first(paths: Iterable[Path]) -> list[Path]:
    """Return files, the one that was written or touched last first."""
    return sorted(paths, key=lambda path: (path.stat().st_mtime_ns, path.name), reverse=True)


def touch(path: Path) -> None:
    """Make a file the newest; on a read-only disk, or if the file is somebody else's, the order stays."""
    with suppress(OSError):
        os.utime(path)
