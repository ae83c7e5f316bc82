"""Read ahead: Arrow decodes Parquet, and hashes it, beside the thread that uses the rows."""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def ahead(batches: Iterable[T]) -> Iterator[T]:
    """Yield batches; a thread makes the next one while the present one is used. An error comes in its place."""
    remaining = iter(batches)
    with ThreadPoolExecutor(1) as thread:
        coming = thread.submit(next, remaining, None)
        while (batch := coming.result()) is not None:
            coming = thread.submit(next, remaining, None)
            yield batch
