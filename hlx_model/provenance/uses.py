"""Find which models learned from a document, an entry or a sentence: "this entry was wrong: which models saw it?"

The answer comes from what was recorded: the manifests name the documents and versions of the corpora, and the rows of
these versions are kept.
"""

import os
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cache, reduce
from itertools import takewhile
from operator import or_
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from hlx_model.checkpoints.manifest import CorpusVersion
from hlx_model.checkpoints.seal import list_checkpoints
from hlx_model.corpus import store
from hlx_model.corpus.documents import StoredDocument, documents_version, kept_documents
from hlx_model.corpus.entries import CorpusError, DocumentRef
from hlx_model.corpus.sources import opened, read_blocks
from hlx_model.files import STDIN, sha256_of
from hlx_model.layout import CHECKPOINTS, DOCUMENT, EXAMPLES, QUARANTINE, ROWS, Artifacts
from hlx_model.phases import CORPUS_OF_PHASE
from hlx_model.provenance.lookup import readable_manifest
from hlx_model.teaching.written import Written, written_documents

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
    """`trained on`, `in validation`, `in test`, or by an ancestor."""
    corpus: str
    version: str
    what: str
    """The document with its SHA-256, or the entry as that version contains it."""
    created: str
    run_id: str | None

    def of(self, what: str, split: str = "train") -> "Use":
        """Return how the training used something else in the same corpus, by the split that contains it."""
        return self._replace(what=what, how=self.how if split == "train" else f"in {split}")


class QuarantinedEntry(NamedTuple):
    """An entry that was in quarantine, so that no model learned from it in this place."""

    document: str
    line: int
    """1-based, the first one that the quarantine records."""
    english: str | None
    reason: str


class TeacherSource(NamedTuple):
    """That a language model wrote something, and what it was asked."""

    what: str
    """The sentence, or the document."""
    provider: str
    model: str
    sentences: int
    """How many of the document are answers to this question."""
    question: str
    """The digest of the question."""
    prompt: str
    """What was asked: the system prompt and the prompt, with an empty line between."""
    cost_nanodollars: int
    """Of the whole answer."""
    entries: int
    """Of the question."""


class Uses(NamedTuple):
    """The uses that were found, and what could not be checked."""

    found: tuple[Use, ...]
    unchecked: tuple[str, ...]
    """Missing versions of corpora, and trainings whose manifests cannot be read: one line each."""
    quarantined: tuple[QuarantinedEntry, ...] = ()
    """Entries in the quarantine of a recorded version."""
    written: tuple[TeacherSource, ...] = ()
    """What of it a language model wrote."""


class _Document:
    """The documents that a user names by path, name or SHA-256."""

    def __init__(self, named: str) -> None:
        self.named, path = named, Path(named)
        self.places = {os.path.abspath(path), str(path.resolve())}  # noqa: PTH100 (without `..`, links stay)
        is_file = path == STDIN or (path.exists() and not path.is_dir())
        self.sha256_now = sha256_of(path) if is_file else None

    def among(self, documents: Iterable[DocumentRef]) -> list[DocumentRef]:
        """Return those of the documents that are named."""
        return [
            document
            for document in documents
            if os.path.normpath(document.source) in self.places
            or self.named in (document.name, Path(document.name).name)
            or document.sha256 == self.sha256_now
            or _begins(document.sha256, self.named)
        ]

    def describe(self, document: DocumentRef) -> str:
        """Return name and hash and, if there is a file of the name, whether it still has this content."""
        same = "as it is now" if document.sha256 == self.sha256_now else "another version than now"
        now = f", {same}" if self.sha256_now else ""
        return f"{Path(document.name).name} ({document.sha256[:12]}{now})"


def uses_of_document(corpus: str, training: Path) -> Uses:
    """Return the trainings that used a document, the oldest first.

    Args:
        corpus: the document's path or name (all its versions are found), its SHA-256 or the first characters of it, or
            a corpus's data version.
        training: the folder of the trainings.

    Raises:
        CorpusError: no training records it, and no teacher wrote it.
    """
    corpora, unreadable = _corpora(training)
    found, named = [], _Document(corpus)
    hashes: set[str] = set()
    for use, version in corpora:
        if _begins(version.data_version, corpus) or _begins(version.examples or "", corpus):
            found.append(use)
        documents = named.among(version.documents)
        hashes.update(document.sha256 for document in documents)
        found += [use.of(named.describe(document)) for document in documents]
    written = _written_document(named, hashes, Artifacts(training))
    if not found and not written:
        raise _not_recorded(corpus, training, [version for _, version in corpora])
    return Uses(tuple(found), tuple(unreadable), written=written)


def uses_of_line(corpus: str, line: int, training: Path) -> Uses:
    """Return the trainings that used the entry at a line of a document, in each version of it that was read.

    If the entry was in quarantine there, its sentence may have been used from another place.

    Args:
        corpus: the document, as in `uses_of_document`.
        line: counted from 1.
        training: the folder of the trainings.

    Raises:
        CorpusError: the document is not recorded, or none of its versions has an entry at this line.
    """
    corpora, unchecked = _corpora(training)
    found, named, artifacts, quarantined = [], _Document(corpus), Artifacts(training), list[QuarantinedEntry]()
    entries: dict[str, list[Mapping[str, Any]]] = {}
    for use, version in corpora:
        documents = named.among(version.documents)
        if not documents or version.examples is None:
            continue
        if version.examples not in entries:
            examples = artifacts.corpus(EXAMPLES, version.examples)
            unchecked += _missing(examples)
            names = {document.name for document in documents}
            entries[version.examples] = _entries_at(examples, names, line)
            if not entries[version.examples]:
                kept = artifacts.corpus(DOCUMENT, documents_version(version.documents))
                quarantined += _quarantined_at(examples, names, line, kept)
        directory = artifacts.corpus(use.corpus, use.version)
        unchecked += _missing(directory)
        # The corpus of phase 1 contains sentences alone.
        column = "english" if use.corpus == CORPUS_OF_PHASE[1] else "value_sha256"
        for entry in entries[version.examples]:
            shown = f"{entry['english'] or 'no sentence'}: {entry['HLXL'] or 'no value'}"
            found += [use.of(shown, split) for split in _splits(directory, (column,), entry[column])]
    for examples, sources in _all_examples(artifacts):
        if examples.name not in entries and (documents := named.among(sources)):
            names = {document.name for document in documents}
            entries[examples.name] = _entries_at(examples, names, line)
            kept = artifacts.corpus(DOCUMENT, documents_version(sources))
            quarantined += [] if entries[examples.name] else _quarantined_at(examples, names, line, kept)
    if not entries:
        raise _not_recorded(corpus, training, [version for _, version in corpora])
    if not any(entries.values()) and not quarantined and not unchecked:
        raise CorpusError(f"{corpus}: no entry at line {line} in any version that was read")
    for sentence in dict.fromkeys(entry.english for entry in quarantined if entry.english):
        found += uses_of_text(sentence, training).found
    sentences = {entry["english"] for rows in entries.values() for entry in rows} - {None}
    return _uses(found, unchecked, quarantined)._replace(written=_written(sentences, artifacts))


def uses_of_text(text: str, training: Path) -> Uses:
    """Return the trainings that used a sentence or a line of HLX, in any document.

    Args:
        text: the whole sentence or line.
        training: the folder of the trainings.
    """
    corpora, unchecked = _corpora(training)
    found, artifacts, splits, quarantined = [], Artifacts(training), cache(_splits), list[QuarantinedEntry]()
    for examples, _ in _all_examples(artifacts):
        same = (pc.field("english") == text) | (pc.field("found") == text)
        quarantined += _quarantined(examples, same)
    for use, _ in corpora:
        directory = artifacts.corpus(use.corpus, use.version)
        unchecked += _missing(directory)
        found += [use.of(text, split) for split in splits(directory, _TEXTS, text)]
    return _uses(found, unchecked, quarantined)._replace(written=_written({text}, artifacts))


def _written(sentences: Collection[str], artifacts: Artifacts) -> tuple[TeacherSource, ...]:
    """Return who wrote these sentences, of those that a teacher wrote."""
    found = [
        _source(sentence.english, written, sentence.question, 1)
        for _, written in written_documents(artifacts)
        for sentence in written.sentences
        if sentence.english in sentences
    ]
    return tuple(dict.fromkeys(found))


def _written_document(named: _Document, hashes: Collection[str], artifacts: Artifacts) -> tuple[TeacherSource, ...]:
    """Return who wrote a document, or those with these SHA-256, by question, if a teacher did."""
    found = []
    for sha256, written in written_documents(artifacts):
        if sha256 in hashes or sha256 == named.sha256_now or _begins(sha256, named.named):
            count = Counter(sentence.question for sentence in written.sentences)
            found += [_source(sha256, written, question, number) for question, number in count.items()]
    return tuple(found)


def _source(what: str, written: Written, question: str, sentences: int) -> TeacherSource:
    asked = written.questions[question]
    return TeacherSource(
        what, asked.provider, asked.model, sentences, question, f"{asked.system}\n\n{asked.user}",
        asked.cost_nanodollars, asked.entries,
    )  # fmt: skip


def _uses(found: Sequence[Use], unchecked: Sequence[str], quarantined: Sequence[QuarantinedEntry]) -> Uses:
    """Return them, each once."""
    return Uses(tuple(dict.fromkeys(found)), tuple(dict.fromkeys(unchecked)), tuple(dict.fromkeys(quarantined)))


def _begins(sha256: str, named: str) -> bool:
    return len(named) >= _MIN_PREFIX and sha256.startswith(named)


def _corpora(training: Path) -> tuple[list[tuple[Use, CorpusVersion]], list[str]]:
    """Return the use of each corpus, the oldest training first, and a line for each one without a readable manifest."""
    found, unreadable = [], []
    for directory in training.iterdir() if training.is_dir() else ():
        checkpoints = list_checkpoints(directory / CHECKPOINTS)
        # All manifests of a training record the same corpora.
        if m := next(filter(None, map(readable_manifest, reversed(checkpoints))), None):
            inherited = f"trained on by an ancestor{', and replayed' if m.settings.get('replay') else ''}"
            names = tuple(path.name for path in checkpoints)
            for asset, version in m.corpora.items():
                how = "trained on" if asset == CORPUS_OF_PHASE[m.phase] else inherited
                use = Use(
                    m.training_id, m.phase, names, how, corpus=asset, version=version.data_version,
                    what=version.data_version, created=m.created, run_id=m.run_id,
                )  # fmt: skip
                found.append((use, version))
        elif checkpoints:
            unreadable.append(f"training {directory.name}: no manifest of it can be read")
    return sorted(found, key=lambda item: item[0].created), unreadable


def _all_examples(artifacts: Artifacts) -> Iterator[tuple[Path, tuple[DocumentRef, ...]]]:
    """Yield the directory of each version of the examples that is kept, with the documents that it was read from."""
    for examples in sorted(artifacts.corpus(EXAMPLES, "any").parent.glob("[!.]*/")):
        with suppress(CorpusError):  # a damaged record
            yield examples, store.sources_of(examples)


def _missing(directory: Path) -> list[str]:
    is_there = (directory / ROWS).is_file()
    return [] if is_there else [f"{directory.parent.name} {directory.name[:12]}: its rows are missing"]


def _not_recorded(corpus: str, training: Path, versions: Iterable[CorpusVersion]) -> CorpusError:
    names = sorted({Path(document.name).name for version in versions for document in version.documents})
    known = f"recorded are {', '.join(names)}" if names else "no document is recorded"
    return CorpusError(f"{corpus}: not recorded by any training in {training}: {known}")


def _entries_at(examples: Path, names: set[str], line: int) -> list[Mapping[str, Any]]:
    """Return the examples at a line of documents with these names."""
    if not (examples / ROWS).is_file():
        return []
    within = (pc.field("first_line") <= line) & (pc.field("last_line") >= line)
    # The sentence may be above the lines that its value was read from.
    at_line = (within | (pc.field("line") == line)) & pc.field("document").isin(list(names))
    return list(pq.read_table(examples / ROWS, filters=at_line).to_pylist())


def _quarantined(examples: Path, those: pc.Expression) -> list[QuarantinedEntry]:
    """Return those entries in the quarantine of a version of the examples; none if the file is missing."""
    if not (examples / QUARANTINE).is_file():
        return []
    rows = store.quarantined(examples).filter(those).to_pylist()
    return [QuarantinedEntry(*(row[name] for name in QuarantinedEntry._fields)) for row in rows]


def _quarantined_at(examples: Path, names: set[str], line: int, kept: Path) -> list[QuarantinedEntry]:
    """Return the quarantined entries at a line of documents with these names.

    The quarantine records the first line of an entry. The documents, as they are kept, have its other lines.
    """
    rows = _quarantined(examples, pc.field("document").isin(list(names)))
    if any(row.line == line for row in rows):
        return [row for row in rows if row.line == line]
    begins = {(document.name, _first_line(kept / document.file, document.name, line)) for document in _kept(kept, rows)}
    return [row for row in rows if (row.document, row.line) in begins]


def _kept(directory: Path, rows: Iterable[QuarantinedEntry]) -> list[StoredDocument]:
    """Return the kept documents of these entries; none if the documents are not kept any more."""
    names = {row.document for row in rows}
    documents = kept_documents(directory) if directory.is_dir() else ()
    return [document for document in documents if document.name in names]


def _first_line(path: Path, name: str, line: int) -> int | None:
    """Return the line by which the quarantine names the entry that contains a line; None if no entry does."""
    with opened(path, name) as file:
        for block in takewhile(lambda block: block.parts[0].line <= line, read_blocks(file, name, {})):
            if line <= max(part.last_line for part in block.parts):
                return block.line
    return None


def _splits(directory: Path, columns: Sequence[str], text: str | None) -> list[str]:
    """Return the splits in which a corpus has a row with this text in one of these columns; it need not have all."""
    try:
        there = [name for name in columns if name in pq.read_schema(directory / ROWS).names]
    except (OSError, pa.ArrowInvalid):
        return []
    if text is None or not there:
        return []
    filters = reduce(or_, (pc.field(name) == text for name in there))
    return sorted(set(pq.read_table(directory / ROWS, columns=["split"], filters=filters)["split"].to_pylist()))
