"""The process that writes the texts of a server. It has the model, and a global interpreter lock of its own.

    python -m hlx_model.serving.engine CHECKPOINT DEVICE SLOTS DESCRIPTOR

`EngineClient` is its other side. They exchange lines of JSON. The engine reads from standard input, between two steps:

    {"id": 7, "prompt": "[LC-R] Sort → ", "max_new_tokens": 200, "temperature": 0.0, "seed": 0, "each_token": false}
    {"cancel": [7]}

and writes to a file descriptor, first `{"ready": SHA-256 of the weights}` or `{"error": why it cannot write}`, then

    {"tokens": 64, "texts": [[7, "the new part of the text", "stop"]], "memory": null}
    {"failed": [7, 8], "error": "RuntimeError"}

`tokens` is the number of tokens since the line before, and `memory` the bytes of a GPU's memory. The end of a text is
`stop` (the model ended it), `length` (a limit did) or null: a text with `each_token` is in the line of each step, any
other one when it ends. The engine ends when standard input is closed.
"""

import json
import logging
import os
import select
import signal
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from hlx_model.checkpoints.seal import verify_checkpoint
from hlx_model.model.device import threads_of
from hlx_model.model.generation import Batch, GenerationRequest
from hlx_model.model.tokenizer import EOS, decode, encode
from hlx_model.model.transformer import Transformer
from hlx_model.serving.finished import load_finished
from hlx_model.shown import one_line

log = logging.getLogger(__name__)
_PIECE = 1 << 16


class Commands:
    """The lines that arrive on a file descriptor."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor, self._rest = descriptor, b""
        self.ended = False

    def read(self, *, wait: bool) -> Iterator[dict[str, Any]]:
        """Yield the commands that have arrived; with `wait` at least one, unless there are no more."""
        while not self.ended and select.select([self._descriptor], [], [], None if wait else 0)[0]:
            piece = os.read(self._descriptor, _PIECE)
            self.ended = not piece
            *lines, self._rest = (self._rest + piece).split(b"\n")
            wait = wait and not lines
            yield from map(json.loads, lines)


@dataclass(eq=False)
class _Text(GenerationRequest):
    id: int = 0
    each_token: bool = False


class Engine:
    """Writes texts in one batch.

    Args:
        model: on its device, in fp32, so that a text does not depend on those beside it.
        slots: the most texts that are written at once.
        commands: what to write.
        report: gets each line that is written.
    """

    def __init__(
        self, model: Transformer, slots: int, commands: Commands, report: Callable[[Mapping[str, Any]], None]
    ) -> None:
        self._model, self._slots, self._commands, self._report = model, slots, commands, report
        self._device = model.output_projection.weight.device
        self._batch: Batch[_Text] | None = None
        self._waiting = deque[_Text]()
        self._texts: dict[int, _Text] = {}
        """Those that have not ended."""
        self._tokens = 0

    def run(self) -> None:
        """Write texts until there are no more commands."""
        while not self._commands.ended:
            for command in self._commands.read(wait=not self._texts):
                if "cancel" in command:
                    self._cancel(command["cancel"])
                else:
                    self._submit(**command)
            if self._texts:
                self._step()

    def _submit(
        self, *, id: int, prompt: str, max_new_tokens: int, temperature: float, seed: int, each_token: bool
    ) -> None:
        generator = torch.Generator(self._device).manual_seed(seed) if temperature else None
        text = _Text(encode(prompt), max_new_tokens, temperature, generator, id=id, each_token=each_token)
        self._texts[id] = text
        self._waiting.append(text)

    def _cancel(self, ids: Iterable[int]) -> None:
        for text in filter(None, map(self._texts.get, ids)):
            text.cancelled = True
            if text in self._waiting:
                self._waiting.remove(text)
                del self._texts[text.id]

    def _step(self) -> None:
        """Write one token of each text, and report what is new."""
        try:
            if self._batch is None:
                self._batch = Batch(self._model, self._slots)
            stepped = self._batch.step(self._waiting)
        except Exception as error:  # of the device, such as too little memory: the next texts may fit
            log.exception("a step of the batch failed")
            failed, self._batch = list(self._texts), None  # its memory is free when another one is made
            self._waiting.clear()
            self._texts.clear()
            return self._report({"failed": failed, "error": type(error).__name__})
        self._tokens += sum(not text.cancelled for text in stepped)
        for text in stepped:
            if text.ended:
                del self._texts[text.id]
        if new := [_reported(text) for text in stepped if (text.ended or text.each_token) and not text.cancelled]:
            memory = _gpu_memory() if self._device.type == "cuda" else None
            self._report({"tokens": self._tokens, "texts": new, "memory": memory})
            self._tokens = 0
        return None


def _reported(text: _Text) -> tuple[int, str, str | None]:
    """Return the id of a text, what is new of it, and its end."""
    end = ("stop" if text.written[-1] == EOS else "length") if text.ended else None
    return text.id, decode(text.written[-1:] if text.each_token else text.written), end


def _gpu_memory() -> dict[str, int]:
    """Return the bytes of a GPU's memory that torch has allocated and reserved, that are free, and all."""
    free, total = torch.cuda.mem_get_info()
    return {
        "allocated": torch.cuda.memory_allocated(), "reserved": torch.cuda.memory_reserved(), "total": total,
        "free": free,
    }  # fmt: skip


def main() -> None:
    """Load a model, and write texts until standard input is closed."""
    # The server ends its engine; a signal for both of them is the server's.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    path, device, slots, descriptor = sys.argv[1:]
    output = os.fdopen(int(descriptor), "w", encoding="utf-8")

    def report(content: Mapping[str, Any]) -> None:
        try:
            output.write(json.dumps(content) + "\n")
            output.flush()
        except BrokenPipeError:  # the server has died
            os._exit(1)

    try:
        found = verify_checkpoint(Path(path), only=())
        model = load_finished(found, device)
        torch.set_num_threads(threads_of(model.architecture))
    except (ValueError, OSError, RuntimeError) as error:
        return report({"error": one_line(error)})
    report({"ready": found.manifest.weights_sha256})
    return Engine(model, int(slots), Commands(0), report).run()


if __name__ == "__main__":
    main()
