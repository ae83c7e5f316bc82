"""Look at something again and again while a block runs, such as the memory of a process."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def sampling(look: Callable[[], object], seconds: float) -> Iterator[None]:
    """Call `look` in a thread, with so many seconds between two calls, until the block ends."""
    ended = threading.Event()

    def sample() -> None:
        while not ended.wait(seconds):
            look()

    thread = threading.Thread(target=sample, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
