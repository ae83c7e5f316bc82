"""Several corpus documents as one corpus, and documents as they are kept: copies of files, and composed ones.

corpora/corpus_document/<data version>/document.md, document-2.md …, source.json
corpora/evaluation_document/<data version>/    the same, and unreadable.json if a document could not be read

A document is read once, and everything else is made from its copy. It is named by its file name, so that a corpus does
not depend on how a path was typed. No sentence occurs twice in a corpus.
"""

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from hlx_model.composer.reading import defined_otherwise
from hlx_model.composer.sampling import compose_lines
from hlx_model.composer.spelling import folded
from hlx_model.corpus import rules
from hlx_model.corpus.document import DEFAULT_SEQ_LENGTH, Document, check_document, read_document
from hlx_model.corpus.entries import Collection, CorpusError, DocumentRef, Entry, Quarantined, Reading
from hlx_model.corpus.records import add_record, read_record
from hlx_model.corpus.sources import opened
from hlx_model.files import digest_of, new_directory, sha256_of, staging, write_json
from hlx_model.json_model import JsonModel
from hlx_model.language import Format, parse
from hlx_model.layout import DOCUMENT, EVALUATION_DOCUMENT, SOURCE, UNREADABLE, Artifacts

_BLOCK = 1 << 20
_COMPOSED = "composed: "
_TOLD_AGAIN = "a sentence without HLX that is also elsewhere says nothing new"


class StoredDocument(DocumentRef):
    """One document of a kept version, as `source.json` describes it; its source is the last one."""

    file: str
    """Its file name in the directory."""
    entries: int = 0
    """How many entries were composed; 0 for a copy of a file."""
    seed: int = 0

    def to_ref(self) -> DocumentRef:
        """Return the reference that examples and manifests keep."""
        return DocumentRef(name=self.name, sha256=self.sha256, bytes=self.bytes, source=self.source)


class Unreadable(JsonModel):
    """A document that could not be read, as `unreadable.json` describes it."""

    name: str
    reason: str
    """One line that names the file and what to do."""


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
    quarantine in every place: one of the values is wrong, and nothing says which. Sentences that differ in case, spaces
    or a final stop are one sentence there, unless their values differ in the same. A sentence without a value that is
    also elsewhere says nothing new, and is left out.
    """
    entries = [entry for document in documents for entry in document.entries]
    # By folded sentence, the first entry of each sentence with each of its values.
    said: dict[str, list[Entry]] = {}
    same: list[list[Entry]] = []
    """For each entry, what `said` has of its sentence."""
    for entry in entries:
        if entry.english is None or not entry.texts:
            same.append([])
            continue
        alike = said.setdefault(folded(entry.english), [])
        same.append(alike)
        if not alike or all((other.english, other.texts) != (entry.english, entry.texts) for other in alike):
            alike.append(entry)
    refused = [_refused(entry, alike) for entry, alike in zip(entries, same, strict=True)]
    sentences = {entry.english for entry, row in zip(entries, refused, strict=True) if entry.texts and not row}
    kept: list[Entry] = []
    told_again: dict[str, list[Entry]] = {}
    for entry, row in zip(entries, refused, strict=True):
        if entry.texts and not row:
            kept.append(entry)
        elif not entry.texts and entry.english not in sentences:
            sentences.add(entry.english)
            kept.append(entry)
        elif not entry.texts:
            told_again.setdefault(entry.document, []).append(entry)
    order = {document.name: index for index, document in enumerate(documents)}
    quarantined = [*(row for document in documents for row in document.quarantined), *filter(None, refused)]
    quarantined.sort(key=lambda row: (order[row.document], row.line))
    readings = [reading for document in documents for reading in document.readings]
    readings += [Reading(name, found[0].line, len(found), _TOLD_AGAIN) for name, found in told_again.items()]
    longest = next((document.max_tokens for document in documents if document.max_tokens is not None), None)
    return Collection(tuple(kept), tuple(quarantined), tuple(readings), longest)


def named_documents(setting: str | None) -> list[Path]:
    """Return the paths in a setting such as `$HLX_CORPUS`: one path, or several with `:` between them."""
    if setting and Path(setting).is_file():
        return [Path(setting)]
    return [Path(path) for path in (setting or "").split(os.pathsep) if path.strip()]


def is_composed(document: DocumentRef) -> bool:
    """Return whether a document was composed, and is no copy of a file."""
    return document.source.startswith(_COMPOSED)


def short_name(document: DocumentRef) -> str:
    """Return the name of a document for tables: that of its file, or `composed 30,000`."""
    composed = re.match(rf"{_COMPOSED}(\d+) entries", document.source)
    return f"composed {int(composed[1]):,}" if composed else Path(document.name).name


def documents_version(documents: Iterable[DocumentRef]) -> str:
    """Return the data version of kept documents: the digest of their names and contents."""
    return digest_of([[document.name, document.sha256] for document in documents])


def keep_documents(artifacts: Artifacts, paths: Sequence[Path], *, composed: int = 0, seed: int = 0) -> Path:
    """Copy documents, compose another one, and return the directory that contains them.

    Args:
        artifacts: where they are kept.
        paths: the documents; each is read once.
        composed: entries to compose beside them; none of their sentences is composed again.
        seed: seed of the composition.

    Raises:
        CorpusError: a document is unusable or given twice, or there is none at all.
        ValueError: the grammar does not give so many entries.
    """
    if not paths and not composed:
        raise CorpusError("no corpus: name a document, or the number of entries to compose")
    require_different(paths)
    with staging(artifacts.corpus(DOCUMENT, "new").parent) as temporary:
        documents: list[StoredDocument] = []
        for path in paths:
            documents.append(_copy(temporary, len(documents), path))
        if composed:
            documents.append(_compose(temporary, documents, composed, seed))
        documents = _distinct(documents)
        return _keep(temporary, artifacts.corpus(DOCUMENT, documents_version(documents)), documents)


def keep_evaluation_documents(artifacts: Artifacts, paths: Sequence[Path], sources: Mapping[Path, str]) -> Path:
    """Copy evaluation documents, and return the directory that contains them.

    One that cannot be read, or is given twice, is recorded with the reason: it must not stop what has no need of it.

    Args:
        artifacts: where they are kept.
        paths: the documents; each is read once.
        sources: what is recorded as the source of a document, if that is not its path.
    """
    with staging(artifacts.corpus(EVALUATION_DOCUMENT, "new").parent) as temporary:
        documents: dict[Path, StoredDocument] = {}
        unreadable: list[Unreadable] = []
        for path in paths:
            try:
                require_different([*documents, path])
                document = _copy(temporary, len(documents), path)
                _distinct([*documents.values(), document])
                documents[path] = document.replace(source=sources.get(path, document.source))
            except CorpusError as error:
                unreadable.append(Unreadable(name=path.name, reason=str(error)))
        distinct = _distinct(list(documents.values()))
        directory = artifacts.corpus(EVALUATION_DOCUMENT, _version(distinct, unreadable))
        return _keep(temporary, directory, distinct, unreadable)


def _copy(folder: Path, index: int, path: Path) -> StoredDocument:
    """Copy a document that can be read and has something like an entry; raises `CorpusError`."""
    source = os.path.abspath(path)  # noqa: PTH100 (without `..`, links stay)
    document = _write(folder, index, path.name, source, _blocks(path))
    check_document(folder / document.file, name=str(path))
    return document


def _keep(
    folder: Path, directory: Path, documents: Sequence[StoredDocument], unreadable: Sequence[Unreadable] = ()
) -> Path:
    """Move documents from a folder into the directory of their version."""
    with new_directory(directory, keep=_is_intact) as made:
        for document in documents:
            (folder / document.file).rename(made / document.file)
        add_record(made, SOURCE, documents)
        if unreadable:
            write_json(made / UNREADABLE, [one.to_json() for one in unreadable])
    # The same documents may lie elsewhere now: changes are expected there.
    add_record(directory, SOURCE, documents)
    return directory


def kept_documents(directory: Path) -> tuple[StoredDocument, ...]:
    """Return the documents of a kept version, with the places that they were last copied from."""
    return read_record(directory, SOURCE, StoredDocument)


def unreadable_documents(directory: Path) -> tuple[Unreadable, ...]:
    """Return the documents of a kept version that could not be read, each with the reason."""
    return read_record(directory, UNREADABLE, Unreadable)


def read_kept(directory: Path, *, seq_length: int = DEFAULT_SEQ_LENGTH) -> Collection:
    """Read the documents of a kept version as one corpus.

    Raises:
        CorpusError: none of the entries of a document is usable.
    """
    return _read(directory, kept_documents(directory), seq_length)


def _read(folder: Path, documents: Iterable[StoredDocument], seq_length: int = DEFAULT_SEQ_LENGTH) -> Collection:
    return collect([read_document(folder / d.file, name=d.name, seq_length=seq_length) for d in documents])


def _version(documents: Iterable[DocumentRef], unreadable: Iterable[Unreadable]) -> str:
    version, missing = documents_version(documents), [[one.name, one.reason] for one in unreadable]
    return digest_of([version, missing]) if missing else version


def _is_intact(directory: Path) -> bool:
    """Return whether a kept version contains the documents that its name covers."""
    try:
        kept, unreadable = kept_documents(directory), unreadable_documents(directory)
        found = [document.replace(sha256=sha256_of(directory / document.file)) for document in kept]
    except (CorpusError, OSError):
        return False
    return bool(found or unreadable) and _version(found, unreadable) == directory.name


def _compose(folder: Path, documents: Sequence[StoredDocument], entries: int, seed: int) -> StoredDocument:
    """Write a composed document without the sentences of the others."""
    lines, left_out = compose_beside(entries, seed, _read(folder, documents).entries)
    source = f"{_COMPOSED}{entries} entries, seed {seed}{left_out}"
    name = f"composed-{entries}-seed-{seed}.md"
    document = _write(folder, len(documents), name, source, (line.encode() for line in lines))
    return document.replace(entries=entries, seed=seed)


def compose_beside(entries: int, seed: int, beside: Iterable[Entry]) -> tuple[Iterator[str], str]:
    """Return the lines of a composed document beside other entries, and what it does without, as text.

    It has none of their sentences, and no operation that they define otherwise.
    """
    said = [(entry.english, entry.texts) for entry in beside if entry.english is not None]
    there = {sentence for sentence, _ in said}
    silent = defined_otherwise((sentence, parse(texts[0], Format.HLXL)) for sentence, texts in said if texts)
    left_out = ", without the sentences above" if there else ""
    if silent:
        left_out += f" and the operations that they define otherwise ({len(silent)})"
    return compose_lines(entries, seed, without=there, silent=silent), left_out


def _distinct(documents: Sequence[StoredDocument]) -> list[StoredDocument]:
    """Give documents of the same name the beginning of their hash: `notes-3f2a9c01.md`.

    Raises:
        CorpusError: two of them have the same content too.
    """
    count = Counter(document.name for document in documents)
    named: dict[str, StoredDocument] = {}
    for document in documents:
        path = Path(document.name)
        again = count[document.name] > 1
        name = f"{path.stem}-{document.sha256[:8]}{path.suffix}" if again else document.name
        if name in named:
            raise CorpusError(f"{document.source}: the same as {named[name].source}: name each document once")
        named[name] = document.replace(name=name)
    return list(named.values())


def _blocks(path: Path) -> Iterator[bytes]:
    with opened(path, str(path)) as file:
        while block := file.read(_BLOCK):
            yield block


def _write(folder: Path, index: int, name: str, source: str, pieces: Iterable[bytes]) -> StoredDocument:
    file = folder / (f"document-{index + 1}.md" if index else "document.md")
    with file.open("wb") as stream:
        stream.writelines(pieces)
    return StoredDocument(file=file.name, name=name, source=source, sha256=sha256_of(file), bytes=file.stat().st_size)


def _refused(entry: Entry, alike: Sequence[Entry]) -> Quarantined | None:
    """Return an entry as quarantined if its sentence is contradicted, or was seen before; else None.

    Args:
        entry: any.
        alike: of the entries with its sentence, the first one with each of its values; none for an entry without both.
    """
    if entry.english is None or not alike or (alike[0] is entry and len(alike) == 1):
        return None
    contradicts = next((other for other in alike if _contradict(entry, other)), None)
    other = contradicts or next(other for other in alike if other.english == entry.english)
    if other is entry:
        return None
    where = f"line {other.line}" if other.document == entry.document else f"{other.document} line {other.line}"
    reason = f"the sentence was seen before, in {where}"
    if contradicts:
        reason = f"the sentence says {entry.texts[0]} here and {other.texts[0]} in {where}"
    return Quarantined(entry.document, entry.line, entry.english, rules.SENTENCE_ONCE, reason, entry.english)


def _contradict(one: Entry, other: Entry) -> bool:
    """Return whether entries, whose sentences are alike, have values that are not."""
    if one.texts == other.texts:
        return False
    return one.english == other.english or folded(one.texts[0]) != folded(other.texts[0])
