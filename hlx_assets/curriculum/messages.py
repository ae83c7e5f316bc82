"""Read the messages of a trainer from a file while it writes them (Dagster Pipes).

Dagster's own reader takes the beginning of a line that is still being written for the whole line, fails, and loses all
messages after it: with them the result of the training. This one waits for the end of a line.
"""

import json
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg

POLL_SECONDS = 0.05


class WholeLinesReader(dg.PipesMessageReader):
    """Reads a message from each line of a file, as soon as the line is whole.

    Args:
        path: of the file, which is made.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    @contextmanager
    def read_messages(self, handler: Any) -> Iterator[dict[str, Any]]:
        """Read messages in a thread while the block runs, and then those that are left."""
        self._path.touch()
        ended = threading.Event()
        thread = threading.Thread(target=self._read, args=(handler, ended), name="messages", daemon=True)
        thread.start()
        try:
            yield {"path": str(self._path)}
        finally:
            ended.set()
            thread.join()

    def _read(self, handler: Any, ended: threading.Event) -> None:
        try:
            for line in whole_lines(self._path, ended):
                handler.handle_message(json.loads(line))
        except Exception:
            handler.report_pipes_framework_exception("the reader of the trainer's messages", sys.exc_info())
            raise

    def no_messages_debug_text(self) -> str:
        """Return where messages were expected, for a warning if there were none."""
        return f"Attempted to read messages from {self._path}."


def whole_lines(path: Path, ended: threading.Event) -> Iterator[str]:
    """Yield the lines of a file that grows until `ended`; what comes after the last end of a line is left out."""
    rest = b""
    with path.open("rb") as file:
        while True:
            last = ended.is_set()  # before the read: what was written until then is read
            rest += file.read()
            *lines, rest = rest.split(b"\n")
            for line in lines:
                yield line.decode()
            if last:
                return
            ended.wait(POLL_SECONDS)
