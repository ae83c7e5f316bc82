"""The other direction: which models has a document, an entry or a sentence gone into?

    "this entry was wrong: which models saw it?"

Asked of what was recorded: the manifests name the documents and the versions of the corpora, and the rows of these
versions are kept.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from hlx_model.checkpoints.manifest import CheckpointError, Manifest, read_manifest
from hlx_model.checkpoints.seal import list_checkpoints
from hlx_model.corpus.entries import CorpusError, DocumentRef
from hlx_model.files import sha256_of
from hlx_model.layout import EXAMPLES, ROWS, Artifacts
from hlx_model.phases import CORPUS_OF_PHASE

_SHORTEST = 8
_TEXTS = ("english", "text", "answer")
"""The columns of the three corpora that hold a sentence or a line of HLX by itself."""


@dataclass(frozen=True)
class Use:
    """A training that something went into."""

    training_id: str
    phase: int
    checkpoints: tuple[str, ...]
    """All that there are of it."""
    how: str
    """`trained on`, `held out`, or by way of an ancestor."""
    corpus: str
    version: str
    what: str
    """The document with its SHA-256, or the entry as that version has it."""
    created: str
    run_id: str | None

    def to_json(self) -> dict[str, Any]:
        """As JSON."""
        return {**vars(self), "checkpoints": list(self.checkpoints)}


@dataclass(frozen=True)
class Uses:
    """What was found, and what could not be looked at."""

    found: tuple[Use, ...]
    unchecked: tuple[str, ...]
    """Versions of corpora that are not at hand, and trainings whose manifests cannot be read: one line each."""


@dataclass(frozen=True)
class _Entry:
    """An entry as a version of the examples has it."""

    english: str | None
    value_sha256: str
    shown: str


def uses_of_document(corpus: str, training: Path) -> Uses:
    """The trainings that a document went into, the oldest first.

    Args:
        corpus: the document's path or name (then of every version of it that was read), its SHA-256 or the
            beginning of it, or a corpus's data version.
        training: the folder of the trainings.

    Raises `CorpusError` where nothing of that name is on record.
    """
    found = []
    kept, unchecked = _trainings(training)
    for manifest, names in kept:
        for asset, version in manifest.corpora.items():
            versions = {version.data_version, version.examples}
            if len(corpus) >= _SHORTEST and any(v and v.startswith(corpus) for v in versions):
                found.append(_use(manifest, names, asset, _how(manifest, asset), version.data_version))
            for document in _matching(corpus, version.documents):
                what = f"{Path(document.name).name} ({document.sha256[:12]}{_changed(corpus, document)})"
                found.append(_use(manifest, names, asset, _how(manifest, asset), what))
    if not found:
        raise CorpusError(f"{corpus}: no training in {training} has it on record: {_known(kept)}")
    return Uses(tuple(found), tuple(unchecked))


def uses_of_line(corpus: str, line: int, training: Path) -> Uses:
    """The trainings that the entry at a line of a document went into, in each version of it that was read."""
    artifacts, found, seen = Artifacts(training), [], False
    kept, unchecked = _trainings(training)
    entries: dict[str, list[_Entry]] = {}
    for manifest, names in kept:
        for asset, version in manifest.corpora.items():
            documents = _matching(corpus, version.documents)
            if not documents or version.examples is None:
                continue
            seen = True
            if version.examples not in entries:
                directory = artifacts.corpus(EXAMPLES, version.examples)
                unchecked += _absent(directory)
                entries[version.examples] = _entries_at(directory, {d.name for d in documents}, line)
            for entry in entries[version.examples]:
                directory = artifacts.corpus(asset, version.data_version)
                for split in _splits(directory, _of_entry(asset, entry)):
                    found.append(_use(manifest, names, asset, _how(manifest, asset, split), entry.shown))
    if not seen:
        raise CorpusError(f"{corpus}: no training in {training} has it on record: {_known(kept)}")
    if not any(entries.values()) and not unchecked:
        raise CorpusError(f"{corpus}: no entry stood at line {line} of it in any version that was read")
    return Uses(tuple(found), tuple(dict.fromkeys(unchecked)))


def uses_of_text(text: str, training: Path) -> Uses:
    """The trainings that a sentence, or a line of HLX, went into."""
    artifacts, found = Artifacts(training), []
    splits: dict[tuple[str, str], list[str]] = {}
    kept, unchecked = _trainings(training)
    for manifest, names in kept:
        for asset, version in manifest.corpora.items():
            key = asset, version.data_version
            if key not in splits:
                unchecked += _absent(artifacts.corpus(*key))
                columns = [column for column in _TEXTS if column in _columns(artifacts.corpus(*key))]
                splits[key] = _splits(artifacts.corpus(*key), dict.fromkeys(columns, text))
            found += [_use(manifest, names, asset, _how(manifest, asset, split), text) for split in splits[key]]
    return Uses(tuple(found), tuple(unchecked))


def _trainings(training: Path) -> tuple[list[tuple[Manifest, tuple[str, ...]]], list[str]]:
    """A manifest of each training, the oldest first, with the names of all its checkpoints; and what cannot be read."""
    found, unreadable = [], []
    for directory in training.iterdir() if training.is_dir() else ():
        names = list_checkpoints(directory / "checkpoints")
        # All of a training tell the same of its corpora.
        for path in reversed(names):
            try:
                found.append((read_manifest(path), tuple(one.name for one in names)))
                break
            except CheckpointError:
                continue
        else:
            unreadable += [f"training {directory.name}: no manifest of it can be read"] if names else []
    return sorted(found, key=lambda one: one[0].created), unreadable


def _absent(directory: Path) -> list[str]:
    there = (directory / ROWS).is_file()
    return [] if there else [f"{directory.parent.name} {directory.name[:12]}: its rows are not at hand"]


def _use(m: Manifest, names: tuple[str, ...], asset: str, how: str, what: str) -> Use:
    return Use(m.training_id, m.phase, names, how, asset, m.corpora[asset].data_version, what, m.created, m.run_id)


def _how(m: Manifest, asset: str, split: str = "train") -> str:
    if split != "train":
        return "held out"
    if asset == CORPUS_OF_PHASE[m.phase]:
        return "trained on"
    replay = m.settings.get("replay", 0.0)
    return "trained on by an ancestor, and replayed" if replay else "trained on by an ancestor"


def _matching(corpus: str, documents: Sequence[DocumentRef]) -> list[DocumentRef]:
    """The documents that a user means: by path, name, or SHA-256."""
    path = Path(corpus)
    source = str(path.absolute())
    return [
        document
        for document in documents
        if document.source == source
        or corpus in (document.name, Path(document.name).name)
        or (len(corpus) >= _SHORTEST and document.sha256.startswith(corpus))
        or (path.is_file() and document.sha256 == sha256_of(path))
    ]


def _changed(corpus: str, document: DocumentRef) -> str:
    path = Path(corpus)
    if not path.is_file():
        return ""
    return ", as it is now" if sha256_of(path) == document.sha256 else ", another version than now"


def _known(kept: Sequence[tuple[Manifest, tuple[str, ...]]]) -> str:
    corpora = (version for manifest, _ in kept for version in manifest.corpora.values())
    names = sorted({Path(document.name).name for version in corpora for document in version.documents})
    return f"on record are {', '.join(names)}" if names else "no document is on record"


def _columns(directory: Path) -> list[str]:
    try:
        return list(pq.read_schema(directory / ROWS).names)
    except (OSError, pa.ArrowInvalid):
        return []


def _entries_at(examples: Path, names: set[str], line: int) -> list[_Entry]:
    """The entries that stand at a line of documents of these names."""
    if not (examples / ROWS).is_file():
        return []
    within = (pc.field("first_line") <= line) & (pc.field("last_line") >= line)
    # The sentence may stand above the lines that its value was read from.
    rows = pq.read_table(examples / ROWS, filters=within | (pc.field("line") == line)).to_pylist()
    return [
        _Entry(row["english"], row["value_sha256"], f"{row['english'] or 'no sentence'}: {row['HLXL']}")
        for row in rows
        if row["document"] in names
    ]


def _of_entry(asset: str, entry: _Entry) -> dict[str, str]:
    """By which column and value the rows of an entry are found in a corpus."""
    if asset == CORPUS_OF_PHASE[1]:
        return {"english": entry.english} if entry.english else {}
    return {"value_sha256": entry.value_sha256}


def _splits(directory: Path, wanted: dict[str, str]) -> list[str]:
    """The splits in which a corpus has a row with one of these values."""
    if not wanted or not (directory / ROWS).is_file():
        return []
    condition = None
    for column, value in wanted.items():
        equal = pc.field(column) == value
        condition = equal if condition is None else condition | equal
    rows = pq.read_table(directory / ROWS, columns=["split"], filters=condition)
    return sorted(set(rows["split"].to_pylist()))
