"""Corpora on disk: one directory a version, named by the SHA-256 of its rows. Nothing in it is ever changed.

corpora/corpus_examples/<data version>/rows.parquet, quarantine.parquet, documents.json
corpora/english_corpus/<data version>/rows.parquet, derived.json    and so hlx_corpus, paired_corpus
corpora/evaluation_examples/<data version>/rows.parquet, quarantine.parquet, documents.json

The version of a derived corpus does not cover the places (document and line) of its rows: the same rows may come from
other examples. `rows.parquet` has the places of the examples in `derived.json`; those of other examples are added
beside it as `places-<version of the examples>.parquet`. The version of an evaluation does not cover lines: if the same
sentences are found in other lines, these are added as `places-<version of the documents>.parquet`.
"""

import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from hlx_model import layout
from hlx_model.corpus.ahead import ahead
from hlx_model.corpus.documents import documents_version
from hlx_model.corpus.entries import Collection, CorpusError, DocumentRef
from hlx_model.corpus.records import add_record, all_records, newest_first, read_record, touch
from hlx_model.corpus.split import Split
from hlx_model.corpus.tables import (
    DERIVED,
    EVALUATION_SCHEMA,
    EXAMPLES_SCHEMA,
    PLACE,
    PLACES_SCHEMA,
    evaluation_table,
    examples_table,
    max_tokens_of,
    quarantine_table,
    with_max_tokens,
)
from hlx_model.corpus.versions import DataVersion, data_version
from hlx_model.files import digest_of, new_directory, staging, write_json
from hlx_model.json_model import JsonModel, PathComponent
from hlx_model.layout import DERIVED_FROM, DOCUMENTS, EVALUATION, EXAMPLES, PLACES, QUARANTINE, ROWS, Artifacts

_COVERED = {
    EXAMPLES: EXAMPLES_SCHEMA.names,
    EVALUATION: [name for name in EVALUATION_SCHEMA.names if name != "line"],
    **{asset: derived.learned for asset, derived in DERIVED.items()},
}
"""The columns that the version of each corpus covers."""
_ROWS_READ = 100_000
_MAKE_AGAIN = "make the corpus again from its documents (in Dagster: materialize it; else repeat the command)"


@dataclass(frozen=True)
class VerifiedCorpus:
    """A kept version whose rows are those of its name, as this process has found: nothing verifies it again."""

    directory: Path
    splits: Mapping[str, int]
    """Rows by split."""
    table: pa.Table | None = field(default=None, repr=False, compare=False)
    """The rows, if they are in memory."""

    @property
    def rows(self) -> int:
        """Return the number of its rows."""
        return sum(self.splits.values())

    @property
    def asset(self) -> str:
        """Return the asset that it is a version of."""
        return self.directory.parent.name

    @property
    def version(self) -> str:
        """Return its data version."""
        return self.directory.name


class DerivedFrom(JsonModel):
    """`derived.json`: the examples that a derived corpus was first made from."""

    corpus_examples: PathComponent
    """Their data version."""


def store_examples(artifacts: Artifacts, corpus: Collection, documents: Sequence[DocumentRef] = ()) -> VerifiedCorpus:
    """Split a corpus, and keep its examples, what is in quarantine and which documents it was read from."""
    rows, quarantine = examples_table(corpus), quarantine_table(corpus)
    directory = artifacts.corpus(EXAMPLES, _version(data_version(rows), rows.schema, quarantine))
    with new_directory(directory, keep=is_intact) as made:
        pq.write_table(quarantine, made / QUARANTINE)
        pq.write_table(rows, made / ROWS)
        add_record(made, DOCUMENTS, documents)
    add_record(directory, DOCUMENTS, documents)
    return VerifiedCorpus(directory, _count_splits(rows.to_batches()), rows)


def store_evaluation(artifacts: Artifacts, evaluation: Collection, documents: Sequence[DocumentRef]) -> VerifiedCorpus:
    """Keep the sentences of evaluation documents with their right values, and what is in quarantine."""
    rows, quarantine = evaluation_table(evaluation), quarantine_table(evaluation)
    found = data_version(rows.select(_COVERED[EVALUATION]))
    directory = artifacts.corpus(EVALUATION, _version(found, rows.schema, quarantine))
    with new_directory(directory, keep=is_intact) as made:
        pq.write_table(quarantine, made / QUARANTINE)
        pq.write_table(rows, made / ROWS)
        add_record(made, DOCUMENTS, documents)
    add_record(directory, DOCUMENTS, documents)
    places = rows.select(PLACE)
    if not pq.read_table(directory / ROWS, columns=list(PLACE)).equals(places):
        pq.write_table(places, directory / PLACES.format(documents_version(documents)))
    return VerifiedCorpus(directory, _count_splits(rows.to_batches()), rows)


def store_derived(artifacts: Artifacts, asset: str, examples: VerifiedCorpus | Path) -> VerifiedCorpus:
    """Derive the corpus `asset` from kept examples, and keep it.

    Raises:
        CorpusError: the examples are missing or damaged.
    """
    derived, source = DERIVED[asset], read(examples)
    table = load(source)
    version, splits = DataVersion(derived.learned), _count_splits(())
    with staging(artifacts.corpus(asset, "new").parent) as temporary:
        rows, places = temporary / ROWS, temporary / "places.parquet"
        schema = with_max_tokens(derived.schema, max_tokens_of(table.schema))
        with (
            pq.ParquetWriter(rows, schema) as writer, pq.ParquetWriter(places, PLACES_SCHEMA) as placed,
            ThreadPoolExecutor(1) as thread,
        ):  # fmt: skip
            written: list[Future[None]] = []
            for batch in derived.batches(table):
                # One batch is written while the next one is made and hashed: Arrow and hashes run beside each other.
                for before in written:
                    before.result()
                written = [
                    thread.submit(writer.write_batch, batch),
                    thread.submit(placed.write_batch, batch.select(PLACE)),
                ]
                version.update(batch)
                splits.update(_count_splits([batch]))
            for before in written:
                before.result()
        directory = artifacts.corpus(asset, _version(version.hexdigest(), schema))
        with new_directory(directory, keep=is_intact) as made:
            rows.rename(made / ROWS)
            write_json(made / DERIVED_FROM, DerivedFrom(corpus_examples=source.version).to_json())
        # These examples are now the newest that it was made from.
        if record := all_examples_of(directory).get(source.version):
            touch(record)
        else:
            places.rename(directory / PLACES.format(source.version))
    return VerifiedCorpus(directory, splits)


def keep(artifacts: Artifacts, corpus: VerifiedCorpus) -> VerifiedCorpus:
    """Return a corpus as it is kept among these artifacts: copied with its verdict, if it is kept elsewhere."""
    target = artifacts.corpus(corpus.asset, corpus.version)
    if target == corpus.directory or is_intact(target):
        return replace(corpus, directory=target)
    _copy(corpus.directory, target, layout.CORPUS_FOLDER, is_intact)
    verdict = report_folder(corpus.directory)
    if verdict is not None and verdict.is_dir():
        report = artifacts.corpus_report(corpus.asset, corpus.version)
        _copy(verdict, report, layout.CORPUS_REPORT_FOLDER, Path.exists)
    return replace(corpus, directory=target)


def _copy(source: Path, target: Path, kind: layout.FolderKind, keep: Callable[[Path], bool]) -> None:
    """Copy the files that hlx writes into a directory of this kind, with their times, unless they are kept already.

    Not their modes, which are those of the source's owner, and which a file system may refuse.
    """
    with new_directory(target, keep=keep) as made:
        for path in filter(lambda path: kind.has(path.name), source.glob("[!.]*")):
            if path.is_symlink():
                raise CorpusError(f"{path}: a link leads elsewhere and is not copied: put the file itself there")
            if path.is_file():
                status = path.stat()
                os.utime(shutil.copyfile(path, made / path.name), ns=(status.st_atime_ns, status.st_mtime_ns))


def report_folder(directory: Path) -> Path | None:
    """Return the folder of the verdict on a kept version; None if the version lies outside of any `corpora` folder."""
    directory = directory.absolute()
    corpora = directory.parent.parent
    if corpora.name != "corpora":
        return None
    return Artifacts.at(corpora.parent).corpus_report(directory.parent.name, directory.name)


def batches(directory: Path, columns: Set[str] | None = None) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a kept version as they are, without verifying them.

    Args:
        directory: of the version.
        columns: only those of its columns that are among these.

    Raises:
        CorpusError: they are missing, or not Parquet.
    """
    path = directory / ROWS
    if not path.is_file():
        raise CorpusError(f"{directory}: no corpus is kept here ({ROWS} is missing): {_MAKE_AGAIN}")
    try:
        with pq.ParquetFile(path) as file:
            names = [name for name in file.schema_arrow.names if columns is None or name in columns]
            yield from ahead(file.iter_batches(batch_size=_ROWS_READ, columns=names))
    except (pa.ArrowInvalid, OSError) as error:
        raise CorpusError(f"{path}: not a Parquet file ({str(error).splitlines()[0]}): {_MAKE_AGAIN}") from None


def verified_batches(directory: Path) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a kept version, and verify them on the way.

    Raises:
        CorpusError: before the end, or after the last row: the rows are not those of the directory's name.
    """
    directory = directory.absolute()
    if link := next((path for path in (directory, directory / ROWS) if path.is_symlink()), None):
        raise CorpusError(f"{link}: a link leads elsewhere and is not followed: put the file itself there")
    version = DataVersion(_COVERED.get(directory.parent.name, EXAMPLES_SCHEMA.names))
    found = ""  # it stays so if a column is missing or of another type
    try:
        for batch in batches(directory):
            version.update(batch)
            yield batch
        found = version.hexdigest()
        quarantine = pq.read_table(directory / QUARANTINE) if (directory / QUARANTINE).is_file() else None
        found = _version(found, pq.read_schema(directory / ROWS), quarantine)
    except (KeyError, TypeError, pa.ArrowInvalid):
        pass
    if found != directory.name:
        raise CorpusError(f"{directory / ROWS}: its rows are not those of version {directory.name[:12]}: {_MAKE_AGAIN}")


def slices(corpus: VerifiedCorpus | Path, columns: Set[str] | None = None) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a kept version slice by slice; those of a directory are verified on the way.

    Args:
        corpus: the version, or its directory.
        columns: all that is needed of a version that is verified already.

    Raises:
        CorpusError: before the end, or after the last row: the rows are not those of the directory's name.
    """
    if isinstance(corpus, Path):
        return verified_batches(corpus)
    if corpus.table is not None:
        return iter(corpus.table.to_batches(max_chunksize=_ROWS_READ))
    return batches(corpus.directory, columns)


def verify(directory: Path) -> VerifiedCorpus:
    """Read a kept version once, without keeping its rows in memory.

    Raises:
        CorpusError: its rows are missing, or not those of its name.
    """
    return VerifiedCorpus(directory.absolute(), _count_splits(verified_batches(directory)))


def read(corpus: VerifiedCorpus | Path) -> VerifiedCorpus:
    """Return a kept version with its rows in memory: they are read once at most; errors as for `verify`."""
    if isinstance(corpus, VerifiedCorpus) and corpus.table is not None:
        return corpus
    directory = (corpus if isinstance(corpus, Path) else corpus.directory).absolute()
    rows = list(slices(corpus))
    table = pa.Table.from_batches(rows) if rows else pq.read_table(directory / ROWS)
    return VerifiedCorpus(directory, _count_splits(rows), table)


def _count_splits(rows: Iterable[pa.RecordBatch]) -> "Counter[str]":
    """Return the number of rows by split, zeros included."""
    splits = Counter({str(split): 0 for split in Split})
    for batch in rows:
        splits.update({row["values"]: row["counts"] for row in pc.value_counts(batch["split"]).to_pylist()})
    return splits


def load(corpus: VerifiedCorpus | Path) -> pa.Table:
    """Return the rows of a kept version; errors as for `verify`."""
    return read(corpus).table


def is_intact(directory: Path) -> bool:
    """Return whether a version is kept in a directory, with the rows of its name."""
    try:
        verify(directory)
    except CorpusError:
        return False
    return True


def with_places(rows: Iterable[pa.RecordBatch], directory: Path, examples: Path) -> Iterator[pa.RecordBatch]:
    """Yield rows of a derived corpus with the document and the line of their entries in these examples."""
    path = directory / PLACES.format(examples.name)
    if not path.is_file():
        yield from rows  # They have the places of the examples in `derived.json`.
        return
    places = pq.read_table(path, read_dictionary=[PLACE[0]])
    start = 0
    for batch in rows:
        for name in PLACE:
            cells = places[name].slice(start, batch.num_rows).combine_chunks().cast(PLACES_SCHEMA.field(name).type)
            batch = batch.set_column(batch.schema.get_field_index(name), name, cells)
        start += batch.num_rows
        yield batch


def quarantined(examples: Path) -> pa.Table:
    """Return the quarantined entries of kept examples: document, line, english, rule, reason, found."""
    return pq.read_table(examples / QUARANTINE)


def examples_of(directory: Path) -> Path | None:
    """Return the directory of the examples that a derived corpus was last made from; None if that is not on record."""
    newest = next(iter(all_examples_of(directory)), None)
    return directory.parents[1] / EXAMPLES / newest if newest else None


def all_examples_of(directory: Path) -> dict[str, Path]:
    """Return the versions of all examples that a derived corpus was made from, with their records, the newest first."""
    first = directory / DERIVED_FROM
    before, after = PLACES.split("{}")
    versions = {path: path.name[len(before) : -len(after)] for path in directory.glob(PLACES.format("*"))}
    try:
        if first.exists():
            versions[first] = DerivedFrom.read(first).corpus_examples
    except ValueError as error:
        raise CorpusError(f"{error}: {_MAKE_AGAIN}") from None
    return {versions[path]: path for path in newest_first(versions)}


def sources_of(examples: Path) -> tuple[DocumentRef, ...]:
    """Return the documents that a version of the examples was last read from; empty if that is not on record."""
    return read_record(examples, DOCUMENTS, DocumentRef)


def all_sources_of(examples: Path) -> Iterator[tuple[DocumentRef, ...]]:
    """Yield the documents of each record of a version of the examples, the last one first."""
    return all_records(examples, DOCUMENTS, DocumentRef)


def made_from(directory: Path) -> tuple[str | None, tuple[DocumentRef, ...]]:
    """Return the version of the examples that a derived corpus was last made from, and their documents."""
    examples = examples_of(directory)
    return (None, ()) if examples is None else (examples.name, sources_of(examples))


def _version(rows: str, schema: pa.Schema, quarantine: pa.Table | None = None) -> str:
    """Return the version of rows; it covers the quarantine, and the limit above which texts are left out."""
    limit = max_tokens_of(schema)
    parts = [rows, *([] if quarantine is None else [data_version(quarantine)]), *([] if limit is None else [limit])]
    return digest_of(parts) if parts[1:] else rows
