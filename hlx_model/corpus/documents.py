"""Corpus documents as they were read: copies of the user's files, and composed ones.

corpora/corpus_document/<data version>/document.md, document-2.md …, source.json

A document is read once, and everything else is made from its copy. It is named by its file name, so that a corpus does
not depend on how a path was typed.
"""

import hashlib
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from hlx_model.composer.sampling import compose_lines
from hlx_model.corpus.collection import collect, require_different
from hlx_model.corpus.document import DEFAULT_SEQ_LENGTH, check_document, opened, read_document
from hlx_model.corpus.entries import Collection, CorpusError, DocumentRef
from hlx_model.corpus.records import add_record, read_record, write_record
from hlx_model.files import digest_of, new_directory, sha256_of, staging
from hlx_model.json_model import JsonModel
from hlx_model.layout import DOCUMENT, SOURCE, Artifacts

_BLOCK = 1 << 20


class StoredDocument(JsonModel):
    """One document of a kept version, as `source.json` describes it."""

    file: str
    """Its file name in the directory."""
    name: str
    """Its name in entries and errors."""
    source: str
    """The path that it was last copied from, or how it was composed."""
    sha256: str
    bytes: int
    entries: int = 0
    """How many entries were composed; 0 for a copy of a file."""
    seed: int = 0

    def to_ref(self) -> DocumentRef:
        """Return the reference that examples and manifests keep."""
        return DocumentRef(name=self.name, sha256=self.sha256, bytes=self.bytes, source=self.source)


def named_documents(setting: str | None) -> list[Path]:
    """Return the paths in a setting such as `$HLX_CORPUS`: one path, or several with `:` between them."""
    if setting and Path(setting).is_file():
        return [Path(setting)]
    return [Path(path) for path in (setting or "").split(os.pathsep) if path.strip()]


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
        documents = [
            _write(temporary, index, path.name, str(path.absolute()), _blocks(path)) for index, path in enumerate(paths)
        ]
        for document, path in zip(documents, paths, strict=True):
            check_document(temporary / document.file, name=str(path))
        if composed:
            documents.append(_compose(temporary, documents, composed, seed))
        documents = _distinct(documents)
        directory = artifacts.corpus(DOCUMENT, documents_version(document.to_ref() for document in documents))
        if not _is_intact(directory):
            with new_directory(directory, keep=_is_intact) as made:
                for document in documents:
                    (temporary / document.file).rename(made / document.file)
                write_record(made, SOURCE, documents)
    # The same documents may lie elsewhere now: changes are expected there.
    add_record(directory, SOURCE, documents)
    return directory


def kept_documents(directory: Path) -> tuple[StoredDocument, ...]:
    """Return the documents of a kept version, with the places that they were last copied from."""
    return read_record(directory, SOURCE, StoredDocument)


def read_kept(directory: Path, *, seq_length: int = DEFAULT_SEQ_LENGTH) -> Collection:
    """Read the documents of a kept version as one corpus.

    Raises:
        CorpusError: none of the entries of a document is usable.
    """
    return _read(directory, kept_documents(directory), seq_length)


def _read(folder: Path, documents: Iterable[StoredDocument], seq_length: int = DEFAULT_SEQ_LENGTH) -> Collection:
    return collect([read_document(folder / d.file, name=d.name, seq_length=seq_length) for d in documents])


def _is_intact(directory: Path) -> bool:
    """Return whether a kept version contains the documents that its name covers."""
    try:
        documents = kept_documents(directory)
        found = [(document.name, sha256_of(directory / document.file)) for document in documents]
    except (CorpusError, OSError):
        return False
    return bool(documents) and digest_of(found) == directory.name


def _compose(folder: Path, documents: Sequence[StoredDocument], entries: int, seed: int) -> StoredDocument:
    """Write a composed document without the sentences of the others."""
    there = {entry.english for entry in _read(folder, documents).entries if entry.english is not None}
    lines = (line.encode() for line in compose_lines(entries, seed, without=there))
    source = f"composed: {entries} entries, seed {seed}" + (", without the sentences above" if there else "")
    document = _write(folder, len(documents), f"composed-{entries}-seed-{seed}.md", source, lines)
    return document.model_copy(update={"entries": entries, "seed": seed})


def _distinct(documents: Sequence[StoredDocument]) -> list[StoredDocument]:
    """Give documents of the same name the beginning of their hash: `notes-3f2a9c01.md`.

    Raises:
        CorpusError: two of them have the same content too.
    """
    count = Counter(document.name for document in documents)
    named: dict[str, StoredDocument] = {}
    for document in documents:
        name = document.name
        if count[name] > 1:
            name = f"{Path(name).stem}-{document.sha256[:8]}{Path(name).suffix}"
        if name in named:
            raise CorpusError(f"{document.source}: the same as {named[name].source}: name each document once")
        named[name] = document.model_copy(update={"name": name})
    return list(named.values())


def _blocks(path: Path) -> Iterator[bytes]:
    with opened(path, str(path)) as file:
        while block := file.read(_BLOCK):
            yield block


def _write(folder: Path, index: int, name: str, source: str, pieces: Iterable[bytes]) -> StoredDocument:
    file = folder / (f"document-{index + 1}.md" if index else "document.md")
    digest, size = hashlib.sha256(), 0
    with file.open("wb") as stream:
        for piece in pieces:
            digest.update(piece)
            size += stream.write(piece)
    return StoredDocument(file=file.name, name=name, source=source, sha256=digest.hexdigest(), bytes=size)
