"""Rows of a corpus as sequences: a row is made when it is read, so that a million entries are sampled by index."""

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any, Generic, TypeVar, overload

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

Row = TypeVar("Row", bound=tuple[Any, ...])

_AT_ONCE = 4096
"""Rows that are made at once by a loop over all of them."""


class Rows(Sequence[Row], Generic[Row]):
    """Some rows of a table as named tuples of their fields' columns.

    Args:
        table: the table.
        row: the type of the rows.
        indices: the numbers of the rows (rows,), ascending; by default all.
    """

    def __init__(self, table: pa.Table, row: type[Row], indices: NDArray[np.int64] | None = None) -> None:
        fields: tuple[str, ...] = row._fields  # type: ignore[attr-defined]
        self._table, self._row = table.select(fields), row
        self.indices = np.arange(len(table)) if indices is None else indices

    def __len__(self) -> int:
        return len(self.indices)

    @overload
    def __getitem__(self, index: int) -> Row: ...
    @overload
    def __getitem__(self, index: slice) -> "Rows[Row]": ...
    def __getitem__(self, index: int | slice) -> "Row | Rows[Row]":
        if isinstance(index, slice):
            return Rows(self._table, self._row, self.indices[index])
        return self.at(int(self.indices[index]))

    def __iter__(self) -> Iterator[Row]:
        for start in range(0, len(self), _AT_ONCE):
            some = self._table.take(pa.array(self.indices[start : start + _AT_ONCE]))
            columns = (some[name].to_pylist() for name in some.column_names)
            yield from (self._row(*cells) for cells in zip(*columns, strict=True))

    def at(self, number: int) -> Row:
        """Return the row of a number in the table."""
        return self._row(*(self._table[name][number].as_py() for name in self._table.column_names))

    def where(self, **cells: str | Collection[str]) -> "Rows[Row]":
        """Return the rows whose cells are these texts, or among them, by column."""
        found = self
        for name, wanted in cells.items():
            texts = pa.array([wanted] if isinstance(wanted, str) else list(wanted), pa.string())
            found = found.keeping(lambda table, name=name, texts=texts: pc.is_in(table[name], texts))  # type: ignore[misc]
        return found

    def keeping(self, mask: Callable[[pa.Table], pa.ChunkedArray]) -> "Rows[Row]":
        """Return the rows that a mask of the whole table has."""
        kept = pc.fill_null(mask(self._table), False).to_numpy()
        return Rows(self._table, self._row, self.indices[kept[self.indices]])

    def without(self, rows: Collection[Row], column: str) -> "Rows[Row]":
        """Return the rows that are not among others; they are compared if a column has the same cell."""
        alike = self.where(**{column: [getattr(row, column) for row in rows]})
        same = [number for number in alike.indices.tolist() if self.at(number) in rows]
        return Rows(self._table, self._row, np.setdiff1d(self.indices, same))

    def column(self, name: str) -> pa.ChunkedArray:
        """Return the cells of a column."""
        return self._table[name].take(pa.array(self.indices))


class Cells(Sequence[str]):
    """Texts in Arrow as a sequence of strings."""

    def __init__(self, texts: pa.ChunkedArray) -> None:
        self._texts = texts

    def __len__(self) -> int:
        return len(self._texts)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> "Cells": ...
    def __getitem__(self, index: int | slice) -> "str | Cells":
        found = self._texts[index]
        return Cells(found) if isinstance(index, slice) else str(found.as_py())

    def __iter__(self) -> Iterator[str]:
        for start in range(0, len(self), _AT_ONCE):
            yield from self._texts.slice(start, _AT_ONCE).to_pylist()
