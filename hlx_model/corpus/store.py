"""Corpora on disk: one directory a version, named by the SHA-256 of its rows.

corpora/corpus_examples/<data version>/rows.parquet, quarantine.parquet, documents.json
corpora/english_corpus/<data version>/rows.parquet, derived.json    and so hlx_corpus, paired_corpus
"""

import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from hlx_model.corpus.collection import read_corpus
from hlx_model.corpus.entries import Collection, CorpusError, DocumentRef
from hlx_model.corpus.tables import DERIVED, EXAMPLES_SCHEMA, examples_table, quarantine_table
from hlx_model.corpus.version import DataVersion, data_version
from hlx_model.files import (
    digest_of,
    new_directory,
    read_json,
    sha256_of,
    staging,
    write_json,
)
from hlx_model.layout import DERIVED_FROM, DOCUMENTS, EXAMPLES, QUARANTINE, ROWS, Artifacts

_ROWS_READ = 100_000
_MAKE_AGAIN = (
    "make the corpus again from its documents (in Dagster: materialize it; else repeat the command that read them)"
)


def store_examples(artifacts: Artifacts, corpus: Collection, documents: Iterable[DocumentRef] = ()) -> Path:
    """Split a corpus, keep its examples, what was set aside and which documents they are of; return their directory.

    The same rows may come of other documents, in which a comment was written: then the last ones are noted.
    """
    rows, quarantine = examples_table(corpus), quarantine_table(corpus)
    directory = artifacts.corpus(EXAMPLES, _version_of_examples(data_version(rows), quarantine))
    if not (directory / ROWS).exists():
        with new_directory(directory) as temporary:
            pq.write_table(quarantine, temporary / QUARANTINE)
            pq.write_table(rows, temporary / ROWS)
    _note(directory / DOCUMENTS, [document._asdict() for document in documents])
    return directory


def store_derived(artifacts: Artifacts, asset: str, examples: Path) -> Path:
    """Derive the corpus `asset` from kept examples, keep it and return its directory."""
    derived = DERIVED[asset]
    version = DataVersion(derived.learned)
    with staging(artifacts.corpus(asset, "new").parent) as temporary:
        path = temporary / ROWS
        with pq.ParquetWriter(path, derived.schema) as writer:
            for batch in derived.batches(load(examples)):
                version.update(batch)
                writer.write_batch(batch)
        directory = artifacts.corpus(asset, version.hexdigest())
        if not (directory / ROWS).exists():
            with new_directory(directory) as made:
                path.rename(made / ROWS)
        else:
            # What is learned is the same; where its entries stand may be another document, or other lines.
            path.replace(directory / ROWS)
    _note(directory / DERIVED_FROM, {EXAMPLES: examples.name})
    return directory


def keep(artifacts: Artifacts, asset: str, directory: Path) -> Path:
    """The directory of a kept version among these artifacts: copied there, if it is kept elsewhere."""
    verify(directory)
    target = artifacts.corpus(asset, directory.name)
    if not (target / ROWS).exists():
        with new_directory(target) as temporary:
            # Their contents alone: the modes of the source are its owner's.
            for path in directory.iterdir():
                if path.is_file():
                    shutil.copyfile(path, temporary / path.name)
    return target


def batches(directory: Path) -> Iterator[pa.RecordBatch]:
    """The rows of a kept version, batch by batch. Raises `CorpusError` where they are missing or not Parquet."""
    path = directory / ROWS
    if not path.is_file():
        raise CorpusError(f"{directory}: no corpus is kept here ({ROWS} is missing): {_MAKE_AGAIN}")
    try:
        with pq.ParquetFile(path) as file:
            yield from file.iter_batches(batch_size=_ROWS_READ)
    except (pa.ArrowInvalid, OSError) as error:
        raise CorpusError(f"{path}: not a Parquet file ({str(error).splitlines()[0]}): {_MAKE_AGAIN}") from None


def verify(directory: Path) -> None:
    """Raise `CorpusError` unless the rows of a kept version are those of its name."""
    asset = directory.absolute().parent.name
    version = DataVersion(DERIVED[asset].learned if asset in DERIVED else EXAMPLES_SCHEMA.names)
    try:
        for batch in batches(directory):
            version.update(batch)
        found = version.hexdigest()
        if (directory / QUARANTINE).is_file():
            found = _version_of_examples(found, pq.read_table(directory / QUARANTINE))
    except (KeyError, TypeError, pa.ArrowInvalid):
        found = "rows of other columns"
    if found != directory.name:
        raise CorpusError(f"{directory / ROWS}: its rows are not those of version {directory.name[:12]}: {_MAKE_AGAIN}")


def load(directory: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """The rows of a kept version, of all columns or of some; `CorpusError` unless they are those of its name."""
    verify(directory)
    return pq.read_table(directory / ROWS, columns=columns)


def _note(path: Path, content: object) -> None:
    if not path.exists() or read_json(path) != content:
        write_json(path, content)


def examples_of(directory: Path) -> Path:
    """The directory of the examples that a derived corpus was last made from."""
    version: str = read_json(directory / DERIVED_FROM)[EXAMPLES]
    return directory.parents[1] / EXAMPLES / version


def sources_of(examples: Path) -> tuple[DocumentRef, ...]:
    """The documents that a version of the examples was last read from; none where nobody noted it."""
    try:
        return tuple(DocumentRef(**source) for source in read_json(examples / DOCUMENTS))
    except FileNotFoundError:
        return ()


def origin(directory: Path) -> tuple[str | None, tuple[DocumentRef, ...]]:
    """The examples that a derived corpus was last made from, and their documents; None where nobody noted it."""
    try:
        examples = examples_of(directory)
    except FileNotFoundError:
        return None, ()
    return examples.name, sources_of(examples)


def build(documents: Sequence[Path], artifacts: Artifacts, *, seq_length: int) -> tuple[dict[str, Path], Collection]:
    """Read documents, split them and keep every corpus; what Dagster does asset by asset, at once.

    Returns the directories by asset name, and what was read. Raises `CorpusError`.
    """
    corpus = read_corpus(documents, seq_length=seq_length)
    sources = [DocumentRef(str(d), sha256_of(d), d.stat().st_size, str(d.absolute())) for d in documents]
    examples = store_examples(artifacts, corpus, sources)
    return {EXAMPLES: examples, **{asset: store_derived(artifacts, asset, examples) for asset in DERIVED}}, corpus


def model_texts(rows: pa.Table, *splits: str) -> list[str]:
    """The texts that a model sees of these rows, in their order: of the named splits, or of all."""
    columns = rows.column_names
    if "prompt" in columns:
        texts = [p + a for p, a in zip(rows["prompt"].to_pylist(), rows["answer"].to_pylist(), strict=True)]
    else:
        texts = rows["english" if "english" in columns else "text"].to_pylist()
    if not splits:
        return texts
    return [text for text, split in zip(texts, rows["split"].to_pylist(), strict=True) if split in splits]


def _version_of_examples(rows: str, quarantine: pa.Table) -> str:
    """The version of examples: what was set aside is part of what one looks up there."""
    return digest_of([rows, data_version(quarantine)])
