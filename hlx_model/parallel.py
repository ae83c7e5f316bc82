"""Work on slices with all processors: Python computes on one of them only, so the slices go to processes.

    with Processes() as processes:
        for found in processes.map(function, slices):
            ...

The results come in the order of the slices. Few slices are worked on in this process: another one takes a second to
start. A process is started afresh, not forked, since this one may have threads. It has its own session, so that Ctrl-C
reaches this process alone. It ends when the block does, or when this process has died: its pipe is closed then.
"""

import os
import pickle
import signal
import subprocess
import sys
import threading
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from itertools import chain, islice
from pathlib import Path
from typing import Any, Self, TypeVar

T = TypeVar("T")
R = TypeVar("R")

FEW = 40
"""Up to so many slices are worked on in this process."""
_WAITING = 2
"""Slices for each process that are in memory at once, with those that it works on."""
_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "ARROW_NUM_THREADS")
_NOT_PASSED_ON = ("DAGSTER_", "HLX_")
"""Beginnings of the names of environment variables that a process has no use for; some are secrets."""


class ProcessEndedError(RuntimeError):
    """A process has ended before its work was done: it was killed, perhaps for its memory."""


def processors() -> int:
    """Return the number of processors that this process may use."""
    return len(os.sched_getaffinity(0))


MOST = 4
"""Processes at most: this one, which deals the slices and takes in the results, keeps no more of them at work."""


class Processes:
    """Processes that work on slices. They are started when they are needed, and end with the block.

    Args:
        number: how many; by default one for each processor, up to `MOST`. With one, this process does everything.
        few: up to so many slices are worked on in this process.
    """

    def __init__(self, number: int | None = None, few: int = FEW) -> None:
        self._number, self._few = number or min(processors(), MOST), few
        self._threads = ThreadPoolExecutor(self._number)
        self._own = threading.local()
        self._lock = threading.Lock()
        self._started: list[_Process] | None = []
        """None when the block has ended."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            started, self._started = self._started or [], None
        for process in started:
            process.kill()
        self._threads.shutdown(cancel_futures=True)
        for process in started:
            process.wait()

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
        waiting: deque[Future[R]] = deque()
        for one in chain(first, remaining):
            waiting.append(self._threads.submit(self._work, function, one))
            if len(waiting) >= _WAITING * self._number:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()

    def _work(self, function: Callable[[T], R], one: T) -> R:
        """Let the process of this thread work on a slice."""
        if not hasattr(self._own, "process"):
            with self._lock:
                if self._started is None:
                    raise ProcessEndedError("no process is started any more")
                self._own.process = _Process()
                self._started.append(self._own.process)
        process: _Process = self._own.process
        return process.work(function, one)


class _Process:
    """A process that runs `main`, and works on one slice after the other."""

    def __init__(self) -> None:
        # What it answers has a pipe of its own: libraries may print.
        read, write = os.pipe()
        try:
            environment = {k: v for k, v in os.environ.items() if not k.startswith(_NOT_PASSED_ON)}
            # It imports what this process imports: "" is the working directory.
            path = os.pathsep.join(str(Path(folder).absolute()) for folder in sys.path)
            environment |= {"PYTHONPATH": path, **dict.fromkeys(_ONE_THREAD, "1")}
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "hlx_model.parallel", str(write)],
                env=environment, stdin=subprocess.PIPE, stdout=2, pass_fds=(write,), start_new_session=True,
            )  # fmt: skip
        finally:
            os.close(write)
        self._answers = os.fdopen(read, "rb")

    def work(self, function: Callable[[T], R], one: T) -> R:
        """Return what the function returns in the process.

        Raises:
            ProcessEndedError: the process has ended.
            Exception: what the function raises.
        """
        assert self._process.stdin
        try:
            pickle.dump((function, one), self._process.stdin, pickle.HIGHEST_PROTOCOL)
            self._process.stdin.flush()
            result, error = pickle.load(self._answers)
        except (EOFError, BrokenPipeError, pickle.UnpicklingError):
            raise ProcessEndedError(f"a process that works for this one {_ended(self.wait())}: try again") from None
        if error is not None:
            raise error
        found: R = result
        return found

    def kill(self) -> None:
        """End the process at once."""
        self._process.kill()

    def wait(self) -> int:
        """Wait until the process has ended, and return its exit code."""
        assert self._process.stdin
        with suppress(BrokenPipeError):  # of what it has not read
            self._process.stdin.close()
        self._answers.close()
        return self._process.wait()


def _ended(code: int) -> str:
    """Return how a process ended, in words."""
    return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with {code}"


def main() -> None:
    """Work on slices from standard input, and write answers into the pipe that is named, until the input ends."""
    requests = sys.stdin.buffer
    with suppress(BrokenPipeError), os.fdopen(int(sys.argv[1]), "wb") as answers:
        while True:
            answer: tuple[Any, BaseException | None]
            try:
                function, one = pickle.load(requests)
                answer = function(one), None
            except EOFError:
                return
            except Exception as error:
                error.add_note("".join(traceback.format_exception(error)))
                answer = None, error
            answers.write(_pickled(answer))
            answers.flush()


def _pickled(answer: tuple[Any, BaseException | None]) -> bytes:
    try:
        return pickle.dumps(answer, pickle.HIGHEST_PROTOCOL)
    except Exception as error:  # any error of a class that cannot be pickled
        raised = answer[1] or error
        return pickle.dumps((None, RuntimeError(f"{type(raised).__name__}: {raised}")), pickle.HIGHEST_PROTOCOL)


if __name__ == "__main__":
    main()
