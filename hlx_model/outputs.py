"""Where a command may write: never over its own input, nor into what hlx keeps.

    require_output(output, inputs=[document])

What hlx keeps (a checkpoint, a report, a corpus) is sealed by hashes: a file that is changed there makes it void. Any
other file is replaced.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from hlx_model.corpus.documents import SOURCE
from hlx_model.corpus.store import DERIVED_FROM, DOCUMENTS, QUARANTINE, ROWS
from hlx_model.lineage.events import EVENTS
from hlx_model.lineage.exported import PROVENANCE
from hlx_model.lineage.history import HISTORY
from hlx_model.lineage.inventory import CHECKPOINTS, LOCK
from hlx_model.manifest import MANIFEST, OPTIMIZER, WEIGHTS
from hlx_model.metrics import METRICS
from hlx_model.quality.verdict import REPORT, VERDICT
from hlx_model.training.heartbeat import HEARTBEAT
from hlx_model.watchdog.ticks import TICK


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


_TRAINING, _CHECKPOINT, _VERSION = "[0-9a-f]" * 16, "phase[123]_*", "[0-9a-f]" * 64
_KEPT = (
    _Kept("a checkpoint", f"checkpoints/{_CHECKPOINT}", frozenset({MANIFEST, WEIGHTS, OPTIMIZER, PROVENANCE})),
    _Kept("a report", f"reports/*/{_CHECKPOINT}", frozenset({REPORT, VERDICT})),
    _Kept("a model card", f"cards/*/{_CHECKPOINT}", frozenset({"README.md"})),
    _Kept("a kept corpus", f"corpora/*/{_VERSION}", frozenset({ROWS, QUARANTINE, DERIVED_FROM, DOCUMENTS})),
    _Kept("a kept document", f"corpora/*/{_VERSION}", frozenset({SOURCE, "document.md"})),
    _Kept("a training", _TRAINING, frozenset({HEARTBEAT, METRICS, LOCK})),
    # A row of its own: `--checkpoint-dir checkpoints` in a folder that holds a metrics.parquet makes no training of it.
    _Kept("a training", _TRAINING, frozenset({CHECKPOINTS})),
)
_RECORDS = (EVENTS, HISTORY, TICK)
"""Files that lie beside the corpora, or in the folder of the trainings."""


def require_output(path: Path, *, inputs: Sequence[Path] = (), own: Path | None = None) -> None:
    """Require that a command may write to `path`: it destroys no input and changes nothing that hlx keeps.

    Args:
        path: a file or a folder; neither it nor its parents need exist. Symbolic and hard links are followed.
        inputs: the files and folders that the command reads.
        own: a folder that the command writes too.

    Raises:
        ValueError: `path` is one of `inputs`, lies in `own` or in a folder that hlx keeps, or is a record of hlx's.
    """
    # A link counts where it lies, which is what is replaced, and where it leads, which is what the user meant.
    for place in (path.parent.resolve() / path.name, path.resolve()):
        for given in inputs:
            if place == given.resolve() or _same(place, given):
                raise ValueError(f"{path}: the input {given} would be lost: name another path")
        if own is not None and own.resolve() in (place, *place.parents):
            raise ValueError(f"{path}: this command writes {own} itself: name another path")
        for folder in place.parents:
            for kept in _KEPT:
                if kept.is_in(folder):
                    raise ValueError(f"{path}: {folder} holds {kept.name}, which stays as it is: name another path")
        if place.name in _RECORDS and any((folder / "corpora").is_dir() for folder in place.parents[:2]):
            raise ValueError(f"{path}: a record that hlx keeps: name another path")


def _same(place: Path, given: Path) -> bool:
    return place.exists() and given.exists() and place.samefile(given)
