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
    path: Path, *, inputs: Sequence[Path] = (), own: Path | None = None, advice: str = "name another path"
) -> Path:
    """Require that writing to `path` destroys no input and changes nothing that hlx keeps.

    Args:
        path: a file or a folder; neither it nor its parents need exist. Symbolic and hard links are followed.
        inputs: the files and folders that the command reads.
        own: a folder that the command writes too.
        advice: what the user can do if the path is refused.

    Returns:
        The path to write, without links and `..`, so that what was checked is what is written. The path of a pipe or a
        device, and `STDOUT`, are returned unchanged.

    Raises:
        ValueError: `path` is one of `inputs`, or a folder around one; it lies in `own` or in a folder that hlx keeps,
            or it is a record of hlx.
    """
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
        for folder in (place, *place.parents):
            for kind in FOLDERS:
                # A report on a .pt file is replaced by a later one.
                if kind.describes(folder) and not (folder == place and kind is REPORT_FOLDER):
                    raise ValueError(f"{path}: {folder} contains {kind.name}, which hlx keeps unchanged: {advice}")
        if place.name in RECORDS and any((folder / "corpora").is_dir() for folder in place.parents[:2]):
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
