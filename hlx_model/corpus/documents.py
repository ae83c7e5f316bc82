"""Corpus documents kept as they were read: copies of the user's files, and composed ones.

corpora/corpus_document/<data version>/document.md, document-2.md …, source.json
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from hlx_model.composer.sampling import compose_lines
from hlx_model.corpus.collection import collect, read_corpus, require_different
from hlx_model.corpus.document import check_document, read_document
from hlx_model.corpus.entries import Collection, CorpusError, DocumentRef
from hlx_model.files import (
    digest_of,
    new_directory,
    read_json,
    sha256_of,
    staging,
    write_json,
)
from hlx_model.layout import DOCUMENT, SOURCE, Artifacts


@dataclass(frozen=True)
class StoredDocument:
    """One document of a kept version."""

    file: str
    """Its name in the directory."""
    name: str
    """What entries and errors call it."""
    source: str
    """The path that it was last copied from, or how it was composed."""
    sha256: str
    bytes: int
    entries: int = 0
    """How many were composed; 0 for a copy."""
    seed: int = 0

    @property
    def origin(self) -> DocumentRef:
        """What examples say of it."""
        return DocumentRef(self.name, self.sha256, self.bytes, self.source)


def named_documents(setting: str | None) -> list[Path]:
    """The paths in a setting such as `$HLX_CORPUS`: one or several, with `:` between them."""
    if setting and Path(setting).is_file():
        return [Path(setting)]
    return [Path(path) for path in (setting or "").split(os.pathsep) if path.strip()]


def keep_documents(artifacts: Artifacts, paths: Sequence[Path], *, composed: int, seed: int) -> Path:
    """Keep copies of `paths` and a document of `composed` entries, without their sentences; return the directory.

    Raises:
        CorpusError: a document that cannot be read, or none at all.
        ValueError: more entries than the grammar gives.
    """
    if not paths and not composed:
        raise CorpusError("no corpus: name a document, or the number of entries to compose")
    require_different(paths)
    kept: list[StoredDocument] = []
    with staging(artifacts.corpus(DOCUMENT, "new").parent) as temporary:
        for path, name in zip(paths, _names(paths), strict=True):
            check_document(path)
            kept.append(_write(temporary, len(kept), name, str(path.absolute()), [path.read_bytes()]))
        if composed:
            there = {entry.english for entry in read_corpus(paths).entries if entry.english is not None}
            lines = (line.encode() for line in compose_lines(composed, seed, without=there))
            said = f"composed: {composed} entries, seed {seed}" + (", without the sentences above" if there else "")
            name = f"composed-{composed}-seed-{seed}.md"
            document = _write(temporary, len(kept), name, said, lines)
            kept.append(replace(document, entries=composed, seed=seed))
        directory = artifacts.corpus(DOCUMENT, digest_of([[document.name, document.sha256] for document in kept]))
        sources = [asdict(document) for document in kept]
        if not (directory / SOURCE).exists():
            with new_directory(directory) as made:
                for document in kept:
                    (temporary / document.file).rename(made / document.file)
                write_json(made / SOURCE, sources)
        elif read_json(directory / SOURCE) != sources:
            # The same documents from another place: that is where they will change.
            write_json(directory / SOURCE, sources)
    return directory


def kept_documents(directory: Path) -> list[StoredDocument]:
    """The documents of a kept version."""
    return [StoredDocument(**document) for document in read_json(directory / SOURCE)]


def read_kept(directory: Path, *, seq_length: int) -> Collection:
    """The documents of a kept version read as one corpus. Raises `CorpusError`."""
    documents = kept_documents(directory)
    return collect([read_document(directory / d.file, name=d.name, seq_length=seq_length) for d in documents])


def _names(paths: Sequence[Path]) -> Iterator[str]:
    """The names of the files; of those that share theirs, the paths."""
    names = [path.name for path in paths]
    for path in paths:
        yield path.name if names.count(path.name) == 1 else str(path)


def _write(folder: Path, index: int, name: str, source: str, pieces: Iterable[bytes]) -> StoredDocument:
    file = folder / (f"document-{index + 1}.md" if index else "document.md")
    with file.open("wb") as stream:
        stream.writelines(pieces)
    return StoredDocument(file.name, name, source, sha256_of(file), file.stat().st_size)
