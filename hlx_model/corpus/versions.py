"""The data version of rows: a digest of their values, whatever batches, encoding or file they are in."""

import hashlib
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from hlx_model.files import digest_of


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

    def update(self, rows: pa.RecordBatch) -> None:
        """Add the rows that come next.

        Raises:
            KeyError: a column is missing.
            TypeError: a column is neither text nor integers without gaps.
        """
        for name in self._hashes:
            self._add(name, rows.column(name))

    def hexdigest(self) -> str:
        """Return the version of all rows so far."""
        hashes = [[name, numbers.hexdigest(), text.hexdigest()] for name, (numbers, text) in self._hashes.items()]
        return digest_of(hashes)

    def _add(self, name: str, values: pa.Array) -> None:
        numbers, texts = self._hashes[name]
        if pa.types.is_dictionary(values.type):
            values = values.cast(values.type.value_type)
        if pa.types.is_integer(values.type) and not values.null_count:
            numbers.update(values.cast(pa.int64()).to_numpy())
        elif pa.types.is_string(values.type) or pa.types.is_large_string(values.type):
            values = values.cast(pa.string())
            numbers.update(pc.fill_null(pc.binary_length(values), -1).cast(pa.int64()).to_numpy())
            # A column without texts may have no buffer for them.
            texts.update(_utf8(pc.fill_null(values, "")))
        else:
            raise TypeError(f"column {name} is of type {values.type}: text and integers without gaps are hashed")


def data_version(table: pa.Table) -> str:
    """Return the version of a table; it covers all columns."""
    version = DataVersion(table.column_names)
    for batch in table.to_batches():
        version.update(batch)
    return version.hexdigest()


def _utf8(values: pa.Array) -> memoryview:
    _, offsets, data = values.buffers()
    if offsets is None or data is None or not len(values):
        return memoryview(b"")
    ends = memoryview(offsets).cast("i")
    return memoryview(data)[ends[values.offset] : ends[values.offset + len(values)]]
