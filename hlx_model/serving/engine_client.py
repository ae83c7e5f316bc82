"""The server's side of an engine: a process that has the model and writes texts (`engine.py`)."""

import asyncio
import json
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from queue import SimpleQueue
from typing import Any

from hlx_model.checkpoints.manifest import CheckpointError
from hlx_model.checkpoints.seal import VerifiedCheckpoint
from hlx_model.serving.jobs import Job, Text
from hlx_model.shown import one_line

log = logging.getLogger(__name__)

MODULE = "hlx_model.serving.engine"
RESTART_SECONDS = 5.0
"""From a death soon after the start to the next start, and between two tries to start."""


class _Process:
    """The process of an engine, and the commands that it gets."""

    def __init__(self, model: VerifiedCheckpoint, device: str, slots: int) -> None:
        # What the engine writes has a pipe of its own: libraries may print.
        read, write = os.pipe()
        self._model, self._lines = model, SimpleQueue[str | None]()
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", MODULE, str(model.path), device, str(slots), str(write)],
            # It imports what this process imports, whatever lies in the working directory.
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            stdin=subprocess.PIPE, stdout=2, pass_fds=(write,), encoding="utf-8", start_new_session=True,
        )  # fmt: skip
        os.close(write)
        self.output = os.fdopen(read, encoding="utf-8")

    def wait_until_ready(self) -> None:
        """Wait until the model is loaded.

        Raises:
            CheckpointError: it cannot be; says why.
        """
        first = json.loads(self.output.readline() or "{}")
        if first.get("ready") != self._model.manifest.weights_sha256:
            assert self.process.stdin
            self.process.stdin.close()
            died = f"{self._model.path}: the process that loads it ended with {self.wait()}"
            changed = f"{self._model.path} was changed while it was loaded: try again"
            raise CheckpointError(changed if "ready" in first else first.get("error", died))

    def send(self, line: str | None) -> None:
        """Give the process a command; None: it ends when it has read all before."""
        self._lines.put(line)

    def pass_on(self) -> None:
        """Write commands into the process's standard input until the last one."""
        assert self.process.stdin
        with suppress(OSError), self.process.stdin as pipe:  # if it has died, its reader says so
            while (line := self._lines.get()) is not None:
                pipe.write(line)
                pipe.flush()

    def wait(self) -> int:
        """Wait until the process has ended, and return its exit code."""
        with self.output:
            return self.process.wait()


class EngineClient:
    """An engine that writes texts. If its process dies, another one takes its place.

    Args:
        model: what the engine loads.
        device: to compute on.
        slots: the most texts that are written at once.
        on_report: called in a thread with numbers of tokens that were written, and of texts that have ended.

    Raises:
        CheckpointError: the model cannot be loaded.
    """

    def __init__(
        self, model: VerifiedCheckpoint, device: str, slots: int, on_report: Callable[[int, int], None]
    ) -> None:
        self._model, self._device, self.slots, self._on_report = model, device, slots, on_report
        self.gpu_memory: dict[str, int] | None = None
        """Bytes of the GPU's memory when the engine wrote last: allocated, reserved, total, free; None on a CPU."""
        self.up = False
        """Whether its process writes; else texts wait for the next one."""
        self.problem: str | None = None
        """Why no process can be started; it is tried again."""
        self._open: dict[int, tuple[Text, Job]] = {}
        self._closed = threading.Event()
        self._lock = threading.Lock()
        """Of what two threads use: the texts that are open, and whether the process is up."""
        self._start()
        self._thread = threading.Thread(target=self._run, name="engine-output", daemon=True)
        self._thread.start()

    @property
    def open(self) -> int:
        """The number of texts that have not ended."""
        return len(self._open)

    def submit(self, text: Text, job: Job) -> None:
        """Let a text be written."""
        with self._lock:
            self._open[text.id] = text, job
            self._write(text, job)

    def cancel(self, texts: Iterable[Text]) -> None:
        """Give the slots of those of the texts that the engine writes to others."""
        with self._lock:
            found = [text for text in texts if text.id in self._open]
            for text in found:
                text.end = "cancelled"
            if found:
                self._send(cancel=[text.id for text in found])
                self._forget(text.id for text in found)

    def close(self) -> None:
        """End the process when all that was submitted is written."""
        with self._lock:
            self._closed.set()
            self._forget(())

    def end(self) -> None:
        """End the process at once."""
        self.cancel([text for text, _ in list(self._open.values())])
        self.close()
        self._process.process.kill()
        self._thread.join()

    def _start(self) -> None:
        """Start a process, and give it the texts that are open.

        Raises:
            CheckpointError: it cannot load the model.
        """
        self._process = process = _Process(self._model, self._device, self.slots)
        process.wait_until_ready()
        threading.Thread(target=process.pass_on, name="engine-input", daemon=True).start()
        with self._lock:
            self.up, self.problem, self._ready = True, None, time.monotonic()
            for text, job in self._open.values():
                self._write(text, job)
            self._forget(())

    def _write(self, text: Text, job: Job) -> None:
        self._send(
            id=text.id, prompt=text.prompt, max_new_tokens=text.max_new_tokens, temperature=text.temperature,
            seed=text.seed, each_token=job.each_token,
        )  # fmt: skip

    def _send(self, **command: object) -> None:
        if self.up:
            self._process.send(json.dumps(command) + "\n")

    def _forget(self, ids: Iterable[int]) -> None:
        """Remove texts that have ended, and end the process if it was only to write them."""
        for id in ids:
            del self._open[id]
        if self._closed.is_set() and not self._open:
            self._process.send(None)

    def _run(self) -> None:
        """Read what the process writes, and start another one if it dies."""
        while True:
            for line in self._process.output:
                if line.endswith("\n"):  # else it died in the midst of it
                    self._take(json.loads(line))
            self._process.send(None)
            code = self._process.wait()
            with self._lock:
                self.up, lost = False, list(self._open)
            self._fail(lost, f"the model's process ended with {code}")
            if not self._restarted(code):
                return self._fail(list(self._open), "the model's process could not be started again")

    def _restarted(self, code: int) -> bool:
        """Start another process, and return whether there is one: none is needed if the engine was closed."""
        if not self._closed.is_set():
            log.error("the model's process ended with %d: another one is started", code)
        if time.monotonic() - self._ready < RESTART_SECONDS:  # it would probably die again
            self._closed.wait(RESTART_SECONDS)
        while not self._closed.is_set():
            try:
                self._start()
                return True
            except (ValueError, OSError) as error:
                if self.problem != (problem := one_line(error)) and not self._closed.is_set():
                    log.error("the model's process cannot be started: %s", problem)
                self.problem = problem
                self._closed.wait(RESTART_SECONDS)
        return False

    def _take(self, report: dict[str, Any]) -> None:
        if "failed" in report:
            return self._fail(report["failed"], f"the model could not write: {report['error']}")
        self.gpu_memory = report["memory"]
        with self._lock:
            # What is not found was cancelled.
            found = [(*self._open[id], new, end) for id, new, end in report["texts"] if id in self._open]
            ended = [text.id for text, _, _, end in found if end]
            self._forget(ended)
        self._on_report(report["tokens"], len(ended))
        for loop in {job.loop for _, job, _, _ in found}:
            _call(loop, _update, [one for one in found if one[1].loop is loop])
        return None

    def _fail(self, ids: Iterable[int], problem: str) -> None:
        """End the jobs of texts with an error."""
        with self._lock:
            found = {id: self._open[id][1] for id in ids if id in self._open}
            self._forget(found)
        for job in set(found.values()):
            _call(job.loop, job.fail, problem)


def _update(changes: Iterable[tuple[Text, Job, str, str | None]]) -> None:
    for text, job, new, end in changes:
        job.update(text, new, end)


def _call(loop: asyncio.AbstractEventLoop, function: Callable[..., None], *arguments: object) -> None:
    with suppress(RuntimeError):  # the loop has ended: nobody waits
        loop.call_soon_threadsafe(function, *arguments)
