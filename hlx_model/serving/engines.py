"""Have the texts of many requests written together, by one engine or several.

engines = Engines(checkpoint, "cpu", slots=64, max_waiting=256)
job = engines.submit([Text("[LC-R] Sort → ", 200)])       # in the thread of the event loop
await job.ended()
engines.close()                                           # what was submitted is still written

A small model on a CPU computes with one thread, so it has as many engines as there are cores, each with at least
`MIN_SLOTS` slots.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

import torch

from hlx_model.checkpoints.seal import VerifiedCheckpoint
from hlx_model.model.device import threads_of
from hlx_model.model.sizes import SIZES
from hlx_model.serving.engine_client import RESTART_SECONDS, EngineClient
from hlx_model.serving.jobs import Closed, Job, Overloaded, Text, Unavailable

MIN_SLOTS = 32
"""Of each engine, if there are several: below that a step costs nearly as much as one of more texts."""
_LATEST, _RECENT_SECONDS = 512, 5.0
"""Texts, and seconds, by whose ends the rate is measured at which slots become free."""


class Engines:
    """Engines with the same model, which share the texts of jobs.

    Args:
        model: what the engines load.
        device: to compute on.
        slots: the most texts that are written at once.
        max_waiting: the most texts that wait for a slot.
        on_tokens: called in a thread with the number of tokens that were written.

    Raises:
        CheckpointError: the model cannot be loaded.
    """

    def __init__(
        self, model: VerifiedCheckpoint, device: str, *, slots: int, max_waiting: int,
        on_tokens: Callable[[int], None] = lambda tokens: None,
    ) -> None:  # fmt: skip
        self._most, self._on_tokens = slots + max_waiting, on_tokens
        self._ends: deque[float] = deque(maxlen=_LATEST)
        self._closed = False
        self._lock = threading.Lock()
        number = _engines_of(model, device, slots)
        shares = [len(range(first, slots, number)) for first in range(number)]
        with ThreadPoolExecutor(number) as pool:  # each loads the model
            starting = [pool.submit(EngineClient, model, device, share, self._reported) for share in shares]
        self._engines = [one.result() for one in starting if one.exception() is None]
        if problem := next(filter(None, (one.exception() for one in starting)), None):
            self.end()
            raise problem

    @property
    def open(self) -> int:
        """The number of texts that have not ended."""
        return sum(engine.open for engine in self._engines)

    @property
    def waiting(self) -> int:
        """The number of texts that have no slot."""
        return sum(max(0, engine.open - engine.slots) for engine in self._engines)

    @property
    def gpu_memory(self) -> dict[str, int] | None:
        """Bytes of the GPU's memory when something was written last; None on a CPU."""
        return self._engines[0].gpu_memory

    @property
    def problem(self) -> str | None:
        """Why nothing can be written; None if an engine writes or will do so."""
        return self._engines[0].problem if all(engine.problem for engine in self._engines) else None

    def submit(self, texts: Sequence[Text], *, each_token: bool = False) -> Job:
        """Let texts be written, and return their job. Called in the thread of an event loop.

        Args:
            texts: of which nothing is written yet.
            each_token: whether somebody waits for each token, and not only for the end.

        Raises:
            Overloaded: too many wait.
            Closed: `close` was called.
            Unavailable: no engine can be started.
        """
        if self.problem:
            raise Unavailable(RESTART_SECONDS)
        job = Job(texts, each_token=each_token, cancel=self._cancel)
        with self._lock:
            if self._closed:
                raise Closed
            if self.open + len(texts) > self._most:
                raise Overloaded(self._seconds())
            for text in texts:
                min(self._engines, key=lambda engine: (not engine.up, engine.open / engine.slots)).submit(text, job)
        return job

    def close(self) -> None:
        """End the engines when all that was submitted is written."""
        with self._lock:
            self._closed = True
        for engine in self._engines:
            engine.close()

    def end(self) -> None:
        """End the engines at once."""
        self.close()
        for engine in self._engines:
            engine.end()

    def _cancel(self, texts: Iterable[Text]) -> None:
        for engine in self._engines:
            engine.cancel(texts)

    def _reported(self, tokens: int, ended: int) -> None:
        self._on_tokens(tokens)
        self._ends += [time.monotonic()] * ended

    def _seconds(self) -> int:
        """Return after how many seconds a new text probably gets a slot: 1 to 60."""
        now = time.monotonic()
        ends = [end for end in list(self._ends) if end > now - _RECENT_SECONDS]
        return min(60, 1 + int(self.waiting * (now - ends[0]) / len(ends))) if ends else 1


def _engines_of(model: VerifiedCheckpoint, device: str, slots: int) -> int:
    """Return how many engines write fastest."""
    if device != "cpu":
        return 1
    return max(1, min(torch.get_num_threads() // threads_of(SIZES[model.manifest.size]), slots // MIN_SLOTS))
