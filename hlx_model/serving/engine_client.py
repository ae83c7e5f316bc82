"""The server's side of an engine: a process that has the model and writes texts (`engine.py`)."""

import asyncio
import json
import logging
import subprocess
import sys
import threading
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
"""Between two tries to start an engine again that has died."""

Lines = SimpleQueue[str | None]
"""Commands for an engine; None ends it."""


class _Process:
    """The process of an engine, and the commands that it gets.

    Raises:
        CheckpointError: it cannot write; says why.
    """

    def __init__(self, model: VerifiedCheckpoint, device: str, slots: int, lines: Lines) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", MODULE, str(model.path), device, str(slots)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8", start_new_session=True,
        )  # fmt: skip
        assert self._process.stdin and self._process.stdout
        self.output = self._process.stdout
        first = json.loads(self.output.readline() or "{}")
        if first.get("ready") != model.manifest.weights_sha256:
            self._process.stdin.close()
            died = f"{model.path}: the process that loads it ended with {self.wait()}; what it wrote is above"
            changed = f"{model.path} was changed while it was loaded: try again"
            raise CheckpointError(changed if "ready" in first else first.get("error", died))
        threading.Thread(target=self._send, args=(lines, self._process.stdin), name="engine-input", daemon=True).start()

    @staticmethod
    def _send(lines: Lines, pipe: Any) -> None:
        # A thread of its own: while the engine computes a long step, the pipe may be full.
        with suppress(OSError), pipe:  # the engine has died: its reader says so
            while (line := lines.get()) is not None:
                pipe.write(line)
                pipe.flush()

    def wait(self) -> int:
        """Wait until the process has ended, and return its exit code."""
        with self.output:
            return self._process.wait()

    def kill(self) -> None:
        """End the process at once, if it has not ended."""
        self._process.kill()


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
        self._open: dict[int, tuple[Text, Job]] = {}
        self._closed = threading.Event()
        self._lock = threading.Lock()
        """Of what several threads use: texts that are open, and lines."""
        self._lines = Lines()
        self._process = self._started()
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
            self._send(
                id=text.id, prompt=text.prompt, max_new_tokens=text.max_new_tokens, temperature=text.temperature,
                seed=text.seed, each_token=job.each_token,
            )  # fmt: skip

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
        self._process.kill()
        self._thread.join()

    def _started(self) -> _Process:
        return _Process(self._model, self._device, self.slots, self._lines)

    def _send(self, **command: object) -> None:
        self._lines.put(json.dumps(command) + "\n")

    def _forget(self, ids: Iterable[int]) -> None:
        """Remove texts that have ended, and end the process if it was only to write them."""
        for id in ids:
            del self._open[id]
        if self._closed.is_set() and not self._open:
            self._lines.put(None)

    def _run(self) -> None:
        """Read what the process writes, and start another one if it dies."""
        while True:
            for line in self._process.output:
                if line.endswith("\n"):  # else it died in the midst of it
                    self._take(json.loads(line))
            code = self._process.wait()
            with self._lock:
                self._lines.put(None)
                lost, self._lines = list(self._open), Lines()
            self._fail(lost, f"the model's process ended with {code}")
            if not self._restarted(code):
                return

    def _restarted(self, code: int) -> bool:
        """Start another process, and return whether there is one: none is needed if the engine was closed."""
        if not self._closed.is_set():
            log.error("the model's process ended with %d: another one is started", code)
        while not self._closed.is_set():
            try:
                self._process = self._started()
                return True
            except (ValueError, OSError) as error:
                log.error("the model's process cannot be started: %s", one_line(error))
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
        for loop in {job.loop for _, job, _, _ in found}:  # one, but in tests
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
