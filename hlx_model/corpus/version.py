"""The data version of a corpus: the SHA-256 of its rows, independent of what wrote them."""

import hashlib
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from hlx_model.files import digest_of

_NULL = -1


class DataVersion:
    """Computes the digest of rows batch by batch.

    Each column is hashed by its values: integers as 64 bits; texts as their lengths in bytes (-1 if there is none) and
    their UTF-8, one after the other. The digest covers the names of the columns with these hashes. So it does not
    depend on the batches, or on the encoding or the release of Arrow and Parquet.

    Args:
        columns: the names of the columns that the digest covers, in their order.
    """

    def __init__(self, columns: Sequence[str]) -> None:
        self._hashes = {name: (hashlib.sha256(), hashlib.sha256()) for name in columns}

    def update(self, rows: pa.RecordBatch | pa.Table) -> None:
        """Add the rows that come next.

        Raises:
            KeyError: a column is missing.
            TypeError: a column is neither text nor integers without gaps.
        """
        for name in self._hashes:
            column = rows.column(name)
            for chunk in column.chunks if isinstance(column, pa.ChunkedArray) else (column,):
                self._add(name, chunk)

    def hexdigest(self) -> str:
        """Return the version of all rows so far."""
        hashes = [[name, numbers.hexdigest(), text.hexdigest()] for name, (numbers, text) in self._hashes.items()]
        return digest_of(hashes)

    def _add(self, name: str, values: pa.Array) -> None:
        numbers, texts = self._hashes[name]
        if pa.types.is_dictionary(values.type):
            values = values.cast(values.type.value_type)
        if pa.types.is_integer(values.type) and not values.null_count:
            numbers.update(_little_endian(values))
        elif pa.types.is_string(values.type) or pa.types.is_large_string(values.type):
            values = values.cast(pa.string())
            numbers.update(_little_endian(pc.fill_null(pc.binary_length(values), _NULL)))
            # A column without texts may have no buffer for them.
            texts.update(_utf8(pc.fill_null(values, "")))
        else:
            raise TypeError(f"column {name} is of type {values.type}: text and integers without gaps are hashed")


def data_version(table: pa.Table) -> str:
    """Return the version of a table; it covers all columns."""
    version = DataVersion(table.column_names)
    version.update(table)
    return version.hexdigest()


def _little_endian(values: pa.Array) -> memoryview:
    values = values.cast(pa.int64())
    buffer = values.buffers()[1]
    return memoryview(buffer)[8 * values.offset : 8 * (values.offset + len(values))] if buffer else memoryview(b"")


def _utf8(values: pa.Array) -> memoryview:
    _, offsets, data = values.buffers()
    if offsets is None or data is None or not len(values):
        return memoryview(b"")
    ends = memoryview(offsets).cast("i")
    return memoryview(data)[ends[values.offset] : ends[values.offset + len(values)]]
