"""The rows of a large corpus as a table that takes no memory of its own: they are mapped from a file.

Arrow reads its own file format where it lies. Parquet must be decoded into memory, in which the rows of a million
entries, and of the corpora before, take gigabytes. The system can drop what is mapped, and read it again.
"""

import logging
from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa

from hlx_model.corpus import store
from hlx_model.corpus.store import VerifiedCorpus
from hlx_model.files import staging
from hlx_model.layout import ROWS

log = logging.getLogger(__name__)

LARGE = 1 << 25
"""Bytes of Parquet from which rows are mapped: several times as many in memory."""


def mapped_rows(directory: Path, examples: Path | None = None, large: int | None = None) -> pa.Table:
    """Return the verified rows of a kept corpus; of a large one from a file that is removed already.

    If the file cannot be written beside them (a read-only or full disk), the rows are in memory.

    Args:
        directory: the corpus.
        examples: of a derived one, the examples whose documents and lines its rows get; by default as they are kept.
        large: bytes of Parquet from which they are mapped; by default `LARGE`.

    Raises:
        CorpusError: its rows are missing, or not those of its version.
    """
    path = directory / ROWS
    if path.is_file() and path.stat().st_size >= (LARGE if large is None else large):
        try:
            return _mapped(_placed(directory, directory, examples), directory)
        except OSError as error:
            log.warning("the rows of %s are kept in memory (%s)", directory, error.strerror or error)
    corpus = store.read(directory)
    assert corpus.table is not None
    rows = _placed(corpus, directory, examples)
    return corpus.table if examples is None else pa.Table.from_batches(rows, corpus.table.schema)


def _placed(corpus: VerifiedCorpus | Path, directory: Path, examples: Path | None) -> Iterable[pa.RecordBatch]:
    rows = store.slices(corpus)
    return rows if examples is None else store.with_places(rows, directory, examples)


def _mapped(rows: Iterable[pa.RecordBatch], folder: Path) -> pa.Table:
    """Write rows into a temporary file of a folder, and return them as they lie there; it is removed at once."""
    with staging(folder) as temporary:
        path = str(temporary / "rows.arrow")
        remaining = iter(rows)
        first = next(remaining)
        with pa.OSFile(path, "wb") as file, pa.ipc.new_file(file, first.schema) as writer:
            writer.write_batch(first)
            for batch in remaining:
                writer.write_batch(batch)
        return pa.ipc.open_file(pa.memory_map(path)).read_all()
