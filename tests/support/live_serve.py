"""A live `hlx serve`: a process on a free port, used over HTTP.

`python -m tests.support.live_serve '{"port": 5001, …}'` is the same server with limits that the command does not have.
"""

import http.client
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import psutil

from hlx_assets.ui import free_port
from tests.support.waiting import wait_for

SORT = {"text": "Sort all users"}
"""A request that is well answered."""


class Answer(NamedTuple):
    """What a server answered."""

    status: int
    headers: Mapping[str, str]
    """By names in lower case."""
    body: bytes

    @property
    def json(self) -> Any:
        """The content of the body."""
        return json.loads(self.body)


class Served:
    """A server's process, and its port on this machine."""

    def __init__(self, process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
        self.process, self.port, self._log = process, port, log

    @property
    def log(self) -> str:
        """What it wrote to standard error."""
        return self._log.read_text(encoding="utf-8")

    @property
    def memory(self) -> int:
        """Bytes of memory that it has, with its engine."""
        process = psutil.Process(self.process.pid)
        return sum(int(one.memory_info().rss) for one in (process, *process.children()))

    def connect(self) -> socket.socket:
        """A connection of its own."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=120)

    def ask(self, method: str, path: str, body: object = None) -> Answer:
        """Send a request on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        try:
            data = None if body is None else json.dumps(body).encode()
            connection.request(method, path, data, {"content-type": "application/json", "connection": "close"})
            found = connection.getresponse()
            return Answer(found.status, {name.lower(): value for name, value in found.getheaders()}, found.read())
        finally:
            connection.close()

    def get(self, path: str) -> Any:
        """The content of an answer that must be a good one."""
        found = self.ask("GET", path)
        assert found.status == 200, found
        return found.json

    def translate(self, body: object = SORT) -> Answer:
        """Translate a text, or several."""
        return self.ask("POST", "/translate", body)

    def ready(self) -> bool:
        """Whether it answers; a process that has ended never will."""
        assert self.process.poll() is None, self.log
        with suppress(OSError):
            return self.ask("GET", "/health").status == 200
        return False

    def end(self, signal: int) -> int:
        """Send a signal, and return the code that the process ends with."""
        self.process.send_signal(signal)
        return self.process.wait(120)


@contextmanager
def hlx_serve(folder: Path, *arguments: object) -> Iterator[Served]:
    """Run `hlx serve` with arguments; its log is in a folder."""
    port = free_port(0)
    command = ["-m", "hlx_model", "serve", "--port", str(port), *map(str, arguments)]
    with _running(folder, port, command) as served:
        yield served


@contextmanager
def serve_within(
    folder: Path, training: Path, *, watch_seconds: float | None = None, **limits: float
) -> Iterator[Served]:
    """Serve the newest checkpoint within limits of the test.

    Args:
        folder: gets the log.
        training: the folder of the trainings.
        watch_seconds: between two looks for a newer checkpoint; None for no look.
        limits: fields of `Limits`.
    """
    port = free_port(0)
    settings = {"port": port, "training": str(training), "limits": limits, "watch_seconds": watch_seconds}
    with _running(folder, port, ["-m", "tests.support.live_serve", json.dumps(settings)]) as served:
        yield served


@contextmanager
def _running(folder: Path, port: int, command: list[str]) -> Iterator[Served]:
    path = folder / f"serve-{port}.log"
    with path.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, *command], stdout=log, stderr=log, start_new_session=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )  # fmt: skip
    served = Served(process, port, path)
    try:
        wait_for(served.ready, "for hlx serve")
        yield served
    finally:
        process.kill()
        process.wait()


def main() -> None:
    """Serve until a signal ends the process."""
    from hlx_model.serving import service
    from hlx_model.serving.server import serve

    settings = json.loads(sys.argv[1])
    service.WATCH_SECONDS = settings["watch_seconds"] or service.WATCH_SECONDS

    def load() -> service.Service:
        return service.Service(None, Path(settings["training"]), limits=service.Limits(**settings["limits"]))

    serve(load, "127.0.0.1", settings["port"], watch=settings["watch_seconds"] is not None)


if __name__ == "__main__":
    main()
