"""Find which models learned from a document, an entry or a sentence: "this entry was wrong: which models saw it?"

The answer comes from what was recorded: the manifests name the documents and versions of the corpora, and the rows of
these versions are kept.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import reduce
from operator import or_
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from hlx_model.checkpoints.manifest import CheckpointError, CorpusVersion, Manifest, read_manifest
from hlx_model.checkpoints.seal import list_checkpoints
from hlx_model.corpus.entries import CorpusError, DocumentRef
from hlx_model.files import sha256_of
from hlx_model.layout import CHECKPOINTS, EXAMPLES, ROWS, Artifacts
from hlx_model.phases import CORPUS_OF_PHASE

_MIN_PREFIX = 8
"""Characters of a SHA-256 that suffice to name a document or a version."""
_TEXTS = ("english", "text", "answer")
"""The columns of the corpora that contain a sentence or a line of HLX by itself."""


class Use(NamedTuple):
    """One way in which a training used something."""

    training_id: str
    phase: int
    checkpoints: tuple[str, ...]
    """The names of all checkpoints of the training."""
    how: str
    """`trained on`, `held out`, or by an ancestor."""
    corpus: str
    version: str
    what: str
    """The document with its SHA-256, or the entry as that version contains it."""
    created: str
    run_id: str | None


class Uses(NamedTuple):
    """The uses that were found, and what could not be checked."""

    found: tuple[Use, ...]
    unchecked: tuple[str, ...]
    """Missing versions of corpora, and trainings whose manifests cannot be read: one line each."""


class _Entry(NamedTuple):
    """An entry as a version of the examples contains it."""

    english: str | None
    value_sha256: str
    shown: str


class _Training(NamedTuple):
    """A training: one of its manifests, and the names of all its checkpoints."""

    manifest: Manifest
    checkpoints: tuple[str, ...]

    def use(self, asset: str, what: str, split: str = "train") -> Use:
        """Describe how this training used something that is in a split of a corpus."""
        m = self.manifest
        how = "held out" if split != "train" else "trained on"
        if split == "train" and asset != CORPUS_OF_PHASE[m.phase]:
            how = f"trained on by an ancestor{', and replayed' if m.settings.get('replay') else ''}"
        version = m.corpora[asset].data_version
        return Use(m.training_id, m.phase, self.checkpoints, how, asset, version, what, m.created, m.run_id)


def uses_of_document(corpus: str, training: Path) -> Uses:
    """Return the trainings that used a document, the oldest first.

    Args:
        corpus: the document's path or name (all its versions are found), its SHA-256 or the first characters of it, or
            a corpus's data version.
        training: the folder of the trainings.

    Raises:
        CorpusError: no training records it.
    """
    trainings, unreadable = _trainings(training)
    found = []
    for one, asset, version in _corpora(trainings):
        versions = (version.data_version, version.examples)
        if len(corpus) >= _MIN_PREFIX and any(v and v.startswith(corpus) for v in versions):
            found.append(one.use(asset, version.data_version))
        for document in _matching(corpus, version.documents):
            what = f"{Path(document.name).name} ({document.sha256[:12]}{_now(corpus, document)})"
            found.append(one.use(asset, what))
    if not found:
        raise _not_recorded(corpus, training, trainings)
    return Uses(tuple(found), tuple(unreadable))


def uses_of_line(corpus: str, line: int, training: Path) -> Uses:
    """Return the trainings that used the entry at a line of a document, in each recorded version of the document.

    Args:
        corpus: the document, as in `uses_of_document`.
        line: counted from 1.
        training: the folder of the trainings.

    Raises:
        CorpusError: no training records the document, or none of its versions has an entry at this line.
    """
    artifacts, found = Artifacts(training), []
    trainings, unchecked = _trainings(training)
    entries: dict[str, list[_Entry]] = {}
    for one, asset, version in _corpora(trainings):
        documents = _matching(corpus, version.documents)
        if not documents or version.examples is None:
            continue
        if version.examples not in entries:
            examples = artifacts.corpus(EXAMPLES, version.examples)
            unchecked += _missing(examples)
            entries[version.examples] = _entries_at(examples, {d.name for d in documents}, line)
        directory = artifacts.corpus(asset, version.data_version)
        unchecked += _missing(directory)
        for entry in entries[version.examples]:
            found += [one.use(asset, entry.shown, split) for split in _splits(directory, _columns_of(asset, entry))]
    if not entries:
        raise _not_recorded(corpus, training, trainings)
    if not any(entries.values()) and not unchecked:
        raise CorpusError(f"{corpus}: no entry at line {line} in any version that was read")
    return Uses(tuple(found), tuple(dict.fromkeys(unchecked)))


def uses_of_text(text: str, training: Path) -> Uses:
    """Return the trainings that used a sentence or a line of HLX, in any document.

    Args:
        text: the whole sentence or line.
        training: the folder of the trainings.
    """
    artifacts, found = Artifacts(training), []
    trainings, unchecked = _trainings(training)
    splits: dict[Path, list[str]] = {}
    for one, asset, version in _corpora(trainings):
        directory = artifacts.corpus(asset, version.data_version)
        if directory not in splits:
            unchecked += _missing(directory)
            splits[directory] = _splits(directory, dict.fromkeys(_TEXTS, text))
        found += [one.use(asset, text, split) for split in splits[directory]]
    return Uses(tuple(found), tuple(unchecked))


def _trainings(training: Path) -> tuple[list[_Training], list[str]]:
    """Return the trainings of a folder, the oldest first, and a line for each whose manifests cannot be read."""
    found, unreadable = [], []
    for directory in training.iterdir() if training.is_dir() else ():
        checkpoints = list_checkpoints(directory / CHECKPOINTS)
        # All manifests of a training record the same corpora.
        for path in reversed(checkpoints):
            with suppress(CheckpointError):
                found.append(_Training(read_manifest(path), tuple(path.name for path in checkpoints)))
                break
        else:
            unreadable += [f"training {directory.name}: no manifest of it can be read"] if checkpoints else []
    return sorted(found, key=lambda one: one.manifest.created), unreadable


def _corpora(trainings: Iterable[_Training]) -> Iterator[tuple[_Training, str, CorpusVersion]]:
    for one in trainings:
        for asset, version in one.manifest.corpora.items():
            yield one, asset, version


def _missing(directory: Path) -> list[str]:
    is_there = (directory / ROWS).is_file()
    return [] if is_there else [f"{directory.parent.name} {directory.name[:12]}: its rows are missing"]


def _matching(corpus: str, documents: Sequence[DocumentRef]) -> list[DocumentRef]:
    """Return the documents that a user names by path, name or SHA-256."""
    path = Path(corpus)
    sha256 = sha256_of(path) if path.is_file() else None
    return [
        document
        for document in documents
        if document.source == str(path.absolute())
        or corpus in (document.name, Path(document.name).name)
        or (len(corpus) >= _MIN_PREFIX and document.sha256.startswith(corpus))
        or document.sha256 == sha256
    ]


def _now(corpus: str, document: DocumentRef) -> str:
    """Return whether a document that a user names by its path is still the recorded one, in words."""
    path = Path(corpus)
    if not path.is_file():
        return ""
    return ", as it is now" if sha256_of(path) == document.sha256 else ", another version than now"


def _not_recorded(corpus: str, training: Path, trainings: Sequence[_Training]) -> CorpusError:
    names = sorted({Path(d.name).name for _, _, version in _corpora(trainings) for d in version.documents})
    known = f"recorded are {', '.join(names)}" if names else "no document is recorded"
    return CorpusError(f"{corpus}: not recorded by any training in {training}: {known}")


def _entries_at(examples: Path, names: set[str], line: int) -> list[_Entry]:
    """Return the entries at a line of documents with these names."""
    if not (examples / ROWS).is_file():
        return []
    within = (pc.field("first_line") <= line) & (pc.field("last_line") >= line)
    # The sentence may be above the lines that its value was read from.
    rows = pq.read_table(examples / ROWS, filters=within | (pc.field("line") == line)).to_pylist()
    return [
        _Entry(row["english"], row["value_sha256"], f"{row['english'] or 'no sentence'}: {row['HLXL']}")
        for row in rows
        if row["document"] in names
    ]


def _columns_of(asset: str, entry: _Entry) -> dict[str, str]:
    """Return by which column and value the rows of an entry are found in a corpus."""
    if asset == CORPUS_OF_PHASE[1]:
        return {"english": entry.english} if entry.english else {}
    return {"value_sha256": entry.value_sha256}


def _splits(directory: Path, wanted: Mapping[str, str]) -> list[str]:
    """Return the splits in which a corpus has a row with one of these values, by column. Other columns are ignored."""
    try:
        there = pq.read_schema(directory / ROWS).names
    except (OSError, pa.ArrowInvalid):
        return []
    conditions = [pc.field(column) == value for column, value in wanted.items() if column in there]
    if not conditions:
        return []
    rows = pq.read_table(directory / ROWS, columns=["split"], filters=reduce(or_, conditions))
    return sorted(set(rows["split"].to_pylist()))
