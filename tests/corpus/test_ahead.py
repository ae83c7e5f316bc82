"""Batches that are read ahead come in their order, and so does an error."""

from collections.abc import Iterator

import pyarrow as pa
import pytest

from hlx_model.corpus import CorpusError
from hlx_model.corpus.ahead import ahead


def batches(number: int, error: Exception | None = None) -> Iterator[pa.RecordBatch]:
    for index in range(number):
        yield pa.record_batch({"a": [index]})
    if error is not None:
        raise error


@pytest.mark.parametrize("number", [0, 1, 7])
def test_batches_come_in_their_order(number: int) -> None:
    assert [rows["a"].to_pylist() for rows in ahead(batches(number))] == [[index] for index in range(number)]


def test_an_error_comes_after_the_batches_before_it() -> None:
    found = ahead(batches(2, CorpusError("damaged")))
    assert [next(found).num_rows, next(found).num_rows] == [1, 1]
    with pytest.raises(CorpusError, match="damaged"):
        next(found)


def test_a_reader_that_stops_early_leaves_no_thread_behind() -> None:
    closed = []

    def source() -> Iterator[pa.RecordBatch]:
        try:
            yield from batches(100)
        finally:
            closed.append(True)

    found = ahead(source())
    assert next(found).num_rows == 1
    found.close()  # type: ignore[attr-defined]
    del found
    assert closed == [True]
