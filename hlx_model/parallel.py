"""Work on slices with all processors: Python computes on one of them only, so the slices go to processes.

    with Processes() as processes:
        for found in processes.map(function, slices):
            ...

The results come in the order of the slices. Few slices are worked on in this process: another one takes seconds to
start.
"""

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import chain, islice
from typing import Self, TypeVar

T = TypeVar("T")
R = TypeVar("R")

MOST = 4
"""Processes at most: this one, which sends the slices and receives the results, can occupy no more."""
FEW = 40
"""Up to so many slices are worked on in this process."""
_WAITING = 2
"""Slices for each process that are in memory at once, with those that it works on."""


class ProcessEndedError(RuntimeError):
    """A process has ended before its work was done: it was killed, perhaps for its memory."""


def processors() -> int:
    """Return the number of processors that this process may use, at most `MOST`."""
    return min(len(os.sched_getaffinity(0)), MOST)


class Processes:
    """Processes that work on slices. They are started when they are needed, and end with the block or this process.

    Args:
        number: how many; by default one for each processor. With one, this process does everything.
        few: up to so many slices are worked on in this process.
    """

    def __init__(self, number: int | None = None, few: int = FEW) -> None:
        self._number, self._few = number or processors(), few
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def map(self, function: Callable[[T], R], slices: Iterable[T]) -> Iterator[R]:
        """Yield what a function returns for each slice, in their order.

        Args:
            function: of a module, with an argument and a result that can be pickled.
            slices: they are taken as they are needed; few are in memory at once.

        Raises:
            ProcessEndedError: a process was killed.
            Exception: what `function` raises for the first slice for which it raises.
        """
        remaining = iter(slices)
        first = list(islice(remaining, self._few + 1)) if self._number > 1 else []
        if len(first) <= self._few:
            yield from map(function, chain(first, remaining))
            return
        if self._pool is None:
            # Not forked: this process may have threads.
            self._pool = ProcessPoolExecutor(self._number, multiprocessing.get_context("spawn"), initializer=_begin)
        waiting: deque[Future[R]] = deque()
        try:
            for one in chain(first, remaining):
                waiting.append(self._pool.submit(function, one))
                if len(waiting) >= _WAITING * self._number:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        except BrokenProcessPool:
            raise ProcessEndedError(
                "a process that works for this one was killed, perhaps because memory ran out: try again"
            ) from None


def _begin() -> None:
    """Prepare a process: Ctrl-C is for its parent, with which it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
