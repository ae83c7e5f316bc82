"""Where a command may write: never over its own input, nor into a folder that hlx keeps.

    place = require_output(output, inputs=[document])
    write_output(place, [page])

What hlx keeps (a checkpoint, a report, a corpus) is sealed by hashes: a changed file makes it void. Any other regular
file is replaced. Text for a pipe or a device is written to it, and `-` is standard output.
"""

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from hlx_model.files import named_errors, write_lines
from hlx_model.layout import FOLDERS, RECORDS, REPORT_FOLDER

STDOUT = Path("-")
"""Standard output, as the name of an output."""


def require_output(
    path: Path, *, inputs: Sequence[Path] = (), own: Path | None = None, folder: bool = False,
    advice: str = "name another path",
) -> Path:  # fmt: skip
    """Require that writing to `path` destroys no input and changes nothing that hlx keeps.

    Args:
        path: neither it nor its parents need exist. Symbolic and hard links are followed.
        inputs: the files and folders that the command reads.
        own: a folder that the command writes too.
        folder: whether the command writes a folder, not a file.
        advice: what the user can do if the path is refused.

    Returns:
        The path to write, without links and `..`, so that what was checked is what is written. The path of a pipe or a
        device, and `STDOUT`, are returned unchanged.

    Raises:
        ValueError: `path` is a folder instead of a file, or a file or standard output instead of a folder; it is one of
            `inputs`, or a folder around one; it lies in `own` or in a folder that hlx keeps, or it is a record of hlx.
    """
    if folder and STDOUT in (path, *path.parents):
        raise ValueError(f"{path}: standard output is no folder: name a folder")
    if folder and path.exists() and not path.is_dir():
        raise ValueError(f"{path}: a file, but a folder is written: {advice}")
    if not folder and path.is_dir():
        raise ValueError(f"{path}: a folder: name a file")
    if path == STDOUT:
        return path
    # Both where a link lies and where it leads.
    for place in (path.parent.resolve() / path.name, path.resolve()):
        for source in inputs:
            same = place.exists() and source.exists() and place.samefile(source)
            if same or source.resolve().is_relative_to(place):
                raise ValueError(f"{path}: the input {source} would be lost: {advice}")
        if own is not None and place.is_relative_to(own.resolve()):
            raise ValueError(f"{path}: this command writes {own} itself: {advice}")
        for around in (place, *place.parents):
            for kind in FOLDERS:
                # A report on a portable model is replaced by a later one.
                if kind.describes(around) and not (around == place and kind is REPORT_FOLDER):
                    raise ValueError(f"{path}: {around} contains {kind.name}, which hlx keeps unchanged: {advice}")
        if place.name in RECORDS and any((around / "corpora").is_dir() for around in place.parents[:2]):
            raise ValueError(f"{path}: a record that hlx keeps: {advice}")
    return path if _is_special(path) else path.resolve()


def write_output(place: Path, pieces: Iterable[str]) -> None:
    """Write text to a path that `require_output` returned: a file by atomic rename, a pipe or a device directly."""
    if place == STDOUT:
        sys.stdout.writelines(pieces)
        sys.stdout.flush()
    elif _is_special(place):
        with named_errors(place), place.open("w", encoding="utf-8") as file:
            file.writelines(pieces)
    else:
        write_lines(place, pieces)


def _is_special(path: Path) -> bool:
    """Return whether a path names a pipe, a socket or a device."""
    return path.exists() and not path.is_file() and not path.is_dir()
