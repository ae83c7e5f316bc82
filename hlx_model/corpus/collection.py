"""Read several corpus documents as one corpus, in which no sentence occurs twice."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from hlx_model.corpus import rules
from hlx_model.corpus.document import DEFAULT_SEQ_LENGTH, Document, read_document
from hlx_model.corpus.entries import Collection, CorpusError, Entry, Quarantined


def read_corpus(paths: Sequence[Path], *, seq_length: int = DEFAULT_SEQ_LENGTH) -> Collection:
    """Read the documents at `paths` as one corpus, without keeping anything.

    Raises:
        CorpusError: a document is unusable, or named twice.
    """
    require_different(paths)
    return collect([read_document(path, seq_length=seq_length) for path in paths])


def require_different(paths: Iterable[Path]) -> None:
    """Require that each document is named once.

    Raises:
        CorpusError: one is named twice.
    """
    seen: set[Path] = set()
    for path in paths:
        if path.resolve() in seen:
            raise CorpusError(f"{path}: named twice; name each document once")
        seen.add(path.resolve())


def collect(documents: Sequence[Document]) -> Collection:
    """Return documents as one corpus, with each sentence once.

    A sentence that is repeated with the same value is kept in its first place. A sentence with two values is put in
    quarantine in every place: one of the values is wrong, and nothing says which.
    """
    entries = [entry for document in documents for entry in document.entries]
    first: dict[str, Entry] = {}
    contradicted: dict[str, Entry] = {}
    for entry in entries:
        if entry.english is not None:
            earlier = first.setdefault(entry.english, entry)
            if earlier.texts != entry.texts:
                contradicted.setdefault(entry.english, entry)
    kept: list[Entry] = []
    repeated: list[Quarantined] = []
    for entry in entries:
        if entry.english is None or (first[entry.english] is entry and entry.english not in contradicted):
            kept.append(entry)
        else:
            repeated.append(_refused(entry, first[entry.english], contradicted.get(entry.english)))
    order = {document.name: index for index, document in enumerate(documents)}
    refused = [*(row for document in documents for row in document.quarantined), *repeated]
    refused.sort(key=lambda row: (order[row.document], row.line))
    readings = tuple(reading for document in documents for reading in document.readings)
    return Collection(tuple(kept), tuple(refused), readings)


def _refused(entry: Entry, first: Entry, contradicting: Entry | None) -> Quarantined:
    """Return an entry with the reason why it is in quarantine: it is repeated, or contradicted."""
    if contradicting is None:
        reason = f"the sentence was seen before, in {_where(first, entry)}"
    else:
        other = contradicting if entry.texts == first.texts else first
        reason = f"the sentence says {entry.texts[0]} here and {other.texts[0]} in {_where(other, entry)}"
    assert entry.english is not None
    return Quarantined(entry.document, entry.line, entry.english, rules.SENTENCE_ONCE, reason, entry.english)


def _where(other: Entry, entry: Entry) -> str:
    return f"line {other.line}" if other.document == entry.document else f"{other.document} line {other.line}"
