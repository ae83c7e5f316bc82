"""Where a command may write: never over its own input, nor into what hlx keeps.

    place = require_output(output, inputs=[document])
    write_output(place, [page])

What hlx keeps (a checkpoint, a report, a corpus) is sealed by hashes: a file that is changed there makes it void. Any
other regular file is replaced; a pipe or a device is written to.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from hlx_model.files import write_lines
from hlx_model.layout import (
    CHECKPOINTS,
    DERIVED_FROM,
    DOCUMENTS,
    EVENTS,
    HEARTBEAT,
    HISTORY,
    LOCK,
    MANIFEST,
    METRICS,
    OPTIMIZER,
    PROVENANCE,
    QUARANTINE,
    REPORT,
    ROWS,
    SOURCE,
    TICK,
    VERDICT,
    WEIGHTS,
)


class _Kept(NamedTuple):
    """A kind of folder that hlx keeps, known by the files in it.

    Two of them identify it anywhere, one where hlx puts such folders. One alone is not enough elsewhere: users have
    a report.json or a README.md of their own.
    """

    name: str
    place: str
    """Where hlx puts it: a pattern of the end of its path."""
    files: frozenset[str]

    def is_in(self, folder: Path) -> bool:
        """Return whether the folder is one of this kind."""
        found = sum((folder / file).exists() for file in self.files)
        return found > 1 or (found == 1 and folder.match(self.place))


REPORTED = "a report"
_TRAINING, _CHECKPOINT, _VERSION = "[0-9a-f]" * 16, "phase[123]_*", "[0-9a-f]" * 64
_KEPT = (
    _Kept(
        "a checkpoint or an exported model",
        f"checkpoints/{_CHECKPOINT}",
        frozenset({MANIFEST, WEIGHTS, OPTIMIZER, PROVENANCE}),
    ),
    _Kept(REPORTED, f"reports/*/{_CHECKPOINT}", frozenset({REPORT, VERDICT})),
    _Kept("a model card", f"cards/*/{_CHECKPOINT}", frozenset({"README.md"})),
    _Kept("a kept corpus", f"corpora/*/{_VERSION}", frozenset({ROWS, QUARANTINE, DERIVED_FROM, DOCUMENTS})),
    _Kept("a kept document", f"corpora/*/{_VERSION}", frozenset({SOURCE, "document.md"})),
    _Kept("a training", _TRAINING, frozenset({HEARTBEAT, METRICS, LOCK})),
    # A row of its own: `--checkpoint-dir checkpoints` in a folder that holds a metrics.parquet makes no training of it.
    _Kept("a training", _TRAINING, frozenset({CHECKPOINTS})),
)
_RECORDS = (EVENTS, HISTORY, TICK)
"""Files that lie beside the corpora, or in the folder of the trainings."""


def require_output(
    path: Path, *, inputs: Sequence[Path] = (), own: Path | None = None, advice: str = "name another path"
) -> Path:
    """Require that a command may write to `path`: it destroys no input and changes nothing that hlx keeps.

    Args:
        path: a file or a folder; neither it nor its parents need exist. Symbolic and hard links are followed.
        inputs: the files and folders that the command reads.
        own: a folder that the command writes too.
        advice: what to do if it may not.

    Returns:
        The path to write, without links and `..`: what was looked at is what is written. A pipe or a device stays as
        it was named.

    Raises:
        ValueError: `path` is one of `inputs`, or a folder around one; it lies in `own` or in a folder that hlx keeps,
            or is a record of hlx's.
    """
    # A link counts where it lies and where it leads.
    for place in (path.parent.resolve() / path.name, path.resolve()):
        for given in inputs:
            if _same(place, given) or given.resolve().is_relative_to(place):
                raise ValueError(f"{path}: the input {given} would be lost: {advice}")
        if own is not None and place.is_relative_to(own.resolve()):
            raise ValueError(f"{path}: this command writes {own} itself: {advice}")
        for folder in (place, *place.parents):
            for kept in _KEPT:
                # A report on a file is replaced by a later one.
                if kept.is_in(folder) and not (folder == place and kept.name == REPORTED):
                    raise ValueError(f"{path}: {folder} holds {kept.name}, which stays as it is: {advice}")
        if place.name in _RECORDS and any((folder / "corpora").is_dir() for folder in place.parents[:2]):
            raise ValueError(f"{path}: a record that hlx keeps: {advice}")
    return path if _is_special(path) else path.resolve()


def write_output(place: Path, pieces: Iterable[str]) -> None:
    """Write text to what `require_output` returned: to a file by atomic rename, to a pipe or a device as it comes."""
    if _is_special(place):
        with place.open("w", encoding="utf-8") as file:
            file.writelines(pieces)
    else:
        write_lines(place, pieces)


def _is_special(path: Path) -> bool:
    """Whether a path names a pipe, a socket or a device."""
    return path.exists() and not path.is_file() and not path.is_dir()


def _same(place: Path, given: Path) -> bool:
    return place.exists() and given.exists() and place.samefile(given)
