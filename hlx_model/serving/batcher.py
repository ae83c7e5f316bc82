"""Write the texts of many requests together, in a thread of its own.

batcher = Batcher(model, slots=64, max_waiting=256)
job = batcher.submit([GenerationRequest(encode(prompt), 200)])      # in the thread of the event loop
await job.ended()
batcher.close()                                           # what was submitted is still written
"""

import asyncio
import atexit
import logging
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress

import torch

from hlx_model.model.device import threads_of
from hlx_model.model.generation import Batch, GenerationRequest
from hlx_model.model.transformer import Transformer

log = logging.getLogger(__name__)

_LATEST, _RECENT_SECONDS = 512, 5.0
"""Texts, and seconds, by whose ends the rate is measured at which slots become free."""

_END_SECONDS = 10.0
"""For a step, when the process ends."""


class Overloaded(Exception):
    """More texts wait than may."""

    def __init__(self, seconds: int) -> None:
        super().__init__(f"too many texts wait: try again in {seconds} s")
        self.seconds = seconds
        """After which a slot is probably free."""


class Closed(Exception):
    """The batcher takes no more texts, because another one has its place."""


class Job:
    """The texts of one request.

    Args:
        texts: what is written.
        each_token: whether somebody waits for each token, and not only for the end.
    """

    def __init__(self, texts: Sequence[GenerationRequest], *, each_token: bool = False) -> None:
        self.texts, self.each_token = texts, each_token
        self.problem: str | None = None
        """Why nothing more is written, if an error ended it."""
        self._loop = asyncio.get_running_loop()
        self._changed = asyncio.Event()

    @property
    def done(self) -> bool:
        """Whether every text has ended."""
        return self.problem is not None or all(text.ended for text in self.texts)

    async def changed(self) -> None:
        """Wait until the job has ended; with `each_token` also until a token was written since the last call."""
        await self._changed.wait()
        self._changed.clear()

    async def ended(self) -> None:
        """Wait until every text has ended."""
        while not self.done:
            await self.changed()

    def cancel(self) -> None:
        """Give the slots of the texts to others."""
        for text in self.texts:
            text.cancelled = True

    @staticmethod
    def wake(jobs: Collection["Job"]) -> None:
        """Let those who wait for jobs look again; from any thread."""

        def set_all() -> None:
            for job in jobs:
                job._changed.set()

        for loop in {job._loop for job in jobs}:  # one, but in tests
            with suppress(RuntimeError):  # it has ended: nobody waits
                loop.call_soon_threadsafe(set_all)


class Batcher:
    """A thread that writes the texts of jobs in one batch.

    Args:
        model: on its device, in fp32, so that a text does not depend on those beside it.
        slots: the most texts that are written at once.
        max_waiting: the most texts that wait for a slot.
        on_step: called in the thread after each step, with the number of texts that got a token.
    """

    def __init__(
        self,
        model: Transformer,
        *,
        slots: int,
        max_waiting: int,
        on_step: Callable[[int], None] = lambda tokens: None,
    ) -> None:
        self._model, self._slots, self._max_waiting, self._on_step = model, slots, max_waiting, on_step
        self._jobs: dict[GenerationRequest, Job] = {}
        """Of each text that has not ended."""
        self._arrived: list[GenerationRequest] = []
        self._queued = 0
        self._ends: deque[float] = deque(maxlen=_LATEST)
        self._closed = False
        self._condition = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="batcher", daemon=True)
        self._thread.start()
        atexit.register(_end_at_exit, weakref.ref(self))

    @property
    def waiting(self) -> int:
        """The number of texts that wait for a slot."""
        return len(self._arrived) + self._queued

    @property
    def open(self) -> int:
        """The number of texts that have not ended."""
        return len(self._jobs)

    def submit(self, texts: Sequence[GenerationRequest], *, each_token: bool = False) -> Job:
        """Let texts be written, and return their job. Called in the thread of an event loop.

        Args:
            texts: without a token yet.
            each_token: whether somebody waits for each token, and not only for the end.

        Raises:
            Overloaded: too many wait.
            Closed: `close` was called.
        """
        job = Job(texts, each_token=each_token)
        with self._condition:
            if self._closed:
                raise Closed
            if self.waiting + len(texts) > self._max_waiting:
                raise Overloaded(self._seconds())
            self._jobs |= dict.fromkeys(texts, job)
            self._arrived += texts
            self._condition.notify()
        return job

    def close(self) -> None:
        """End the thread when all that was submitted is written."""
        with self._condition:
            self._closed = True
            self._condition.notify()

    def end(self) -> None:
        """End the thread after the step that it computes."""
        with self._condition:
            for text in self._jobs:
                text.cancelled = True
        self.close()
        self._thread.join(_END_SECONDS)

    def _seconds(self) -> int:
        """Return after how many seconds a new text probably gets a slot: 1 to 60."""
        now = time.monotonic()
        ends = [end for end in self._ends if end > now - _RECENT_SECONDS]
        return min(60, 1 + int(self.waiting * (now - ends[0]) / len(ends))) if ends else 1

    def _run(self) -> None:
        torch.set_num_threads(threads_of(self._model.architecture))
        batch: Batch | None = None
        waiting = deque[GenerationRequest]()
        while True:
            with self._condition:
                while not (self._arrived or waiting or batch or self._closed):
                    self._condition.wait()
                if self._closed and not (self._arrived or waiting or batch):
                    return
                waiting += self._arrived
                self._arrived.clear()
                self._queued = len(waiting)
            if cancelled := {text for text in waiting if text.cancelled}:
                self._end(cancelled)
                waiting = deque(text for text in waiting if text not in cancelled)
            try:
                if batch is None:
                    batch = Batch(self._model, self._slots)
                stepped = batch.step(waiting)
            except Exception as error:  # of the device, such as too little memory: the next texts may fit
                log.exception("a step of the batch failed")
                self._fail(f"the model could not write: {type(error).__name__}")
                batch, waiting = None, deque()  # its memory is free when another one is made
                continue
            self._queued = len(waiting)
            self._on_step(len(stepped))
            self._end(stepped)

    def _end(self, texts: Iterable[GenerationRequest]) -> None:
        """Wake the jobs of texts that got a token or were cancelled, and forget those that have ended.

        One that is cancelled after its step is forgotten here, and leaves the batch in the next step.
        """
        jobs = set()
        for text in texts:
            if (job := self._jobs.get(text)) is None:
                continue
            jobs.add(job)
            if text.ended:
                with self._condition:
                    del self._jobs[text]
                self._ends.append(time.monotonic())
        if waking := [job for job in jobs if job.each_token or job.done]:
            Job.wake(waking)

    def _fail(self, problem: str) -> None:
        """End all jobs with an error."""
        with self._condition:
            jobs, self._jobs = set(self._jobs.values()), {}
            self._arrived.clear()
        for job in jobs:
            job.problem = problem
        Job.wake(jobs)


def _end_at_exit(batcher: "weakref.ref[Batcher]") -> None:
    """End a thread before the interpreter does: to stop it in the midst of a step aborts the process."""
    if (found := batcher()) is not None:
        found.end()
