"""A trainer in a process of its own that is killed, stopped, or refused by the disk at one moment.

`hlx train` runs in the child as a user runs it, from reading the corpus to the last checkpoint, and saves its rolling
checkpoint after every step. Its file operations are counted, and a `Fault` names one of these events by its number.
`kills.py` and `tests/training/test_faults.py` use this.
"""

import errno
import io
import logging
import multiprocessing
import os
import re
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

PATIENCE = 300.0
"""Seconds without output after which a child counts as stuck."""
# A child is forked from a process that has imported them: it starts in a fifth of a second where it took five.
_PRELOADED = ["tests.support.faults", "hlx_model.cli", "torch._dynamo", "numpy.ctypeslib"]


class Event(NamedTuple):
    """A file operation that the trainer is about to do."""

    operation: str
    """`open` (to write), `write`, `half` (half of a write is done), `fsync`, `rename`, `remove`, `mkdir` or `rmdir`."""
    place: str
    """Its path under the root of the artifacts: `training/checkpoints/LAST/state.json`."""


@dataclass(frozen=True)
class Fault:
    """What happens in place of an event."""

    at: int
    """The event's number, from 0."""
    signal: int = signal.SIGKILL
    error: int | None = None
    """Instead of a signal: the `errno` with which the disk refuses this event …"""
    lasting: bool = True
    """… and those after it; otherwise there is space again, as if only the weights were too large."""


REFUSED = {
    # A full disk still renames and removes.
    errno.ENOSPC: ("open", "half", "fsync", "mkdir"),
    errno.EROFS: ("open", "write", "half", "fsync", "rename", "remove", "mkdir", "rmdir"),
    errno.EACCES: ("open", "rename", "remove", "mkdir", "rmdir"),
}
"""The events that a disk refuses, by its reason."""


@dataclass(frozen=True)
class Task:
    """What is trained: `hlx train --phase 1` on a document, with options."""

    document: Path
    training: Path
    """Folder of the trainings."""
    options: tuple[str, ...] = ()

    @property
    def directory(self) -> Path | None:
        """The training's directory; None before it is made."""
        found = list(self.training.glob("*"))
        return found[0] if found else None


@dataclass
class Ended:
    """How a trainer ended, and its output."""

    code: int = 0
    """Its exit code; below 0 the signal that ended it."""
    error: str = ""
    """The last line of `hlx train` on standard error, if it failed."""
    saved: list[str] = field(default_factory=list)
    """The names of the checkpoints that it had written, in order."""
    log: list[str] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    """All events, if no signal ended it."""

    @property
    def resumed_from(self) -> str | None:
        """Return the name of the checkpoint from which it resumed; None if it started anew."""
        for line in self.log:
            if found := re.match(r"resuming from (\S+)", line):
                return found[1]
        return None


class Trainer:
    """A trainer that runs in a process of its own."""

    def __init__(self, task: Task, fault: Fault | None = None) -> None:
        # So that events have the same numbers whether the root was there or not.
        task.training.parent.mkdir(parents=True, exist_ok=True)
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(_PRELOADED)
        self._said, child = context.Pipe(duplex=False)
        self._process = context.Process(target=_train, args=(task, fault, child))
        self._process.start()
        child.close()
        self._ended = Ended()

    def kill(self) -> None:
        """Send SIGKILL from outside."""
        self._process.kill()

    def wait_for_the_fault(self) -> None:
        """Return when the fault's event is reached; its signal follows at once."""
        for kind, _ in self._messages():
            if kind == "fault":
                return
        raise AssertionError(f"the trainer ended before its fault: {self.end()}")

    def end(self) -> Ended:
        """Wait until it has ended."""
        for _ in self._messages():
            pass
        self._process.join()
        self._ended.code = self._ended.code or self._process.exitcode or 0
        self._said.close()
        self._process.close()
        return self._ended

    def _messages(self) -> Iterator[tuple[str, Any]]:
        with suppress(EOFError, ConnectionResetError):
            while True:
                if not self._said.poll(PATIENCE):
                    self._process.kill()
                    raise TimeoutError(f"the trainer said nothing for {PATIENCE:.0f} seconds")
                kind, content = self._said.recv()
                if kind == "saved":
                    self._ended.saved.append(content)
                elif kind == "log":
                    self._ended.log.append(content)
                elif kind == "ended":
                    self._ended.code, self._ended.error, self._ended.events = content
                yield kind, content


def trained(task: Task, fault: Fault | None = None) -> Ended:
    """Train in a process of its own until it ends for any reason."""
    return Trainer(task, fault).end()


class _Said(logging.Handler):
    """Sends each line of the log."""

    def __init__(self, connection: Connection) -> None:
        super().__init__()
        self._connection = connection

    def emit(self, record: logging.LogRecord) -> None:
        self._connection.send(("log", record.getMessage()))


def _train(task: Task, fault: Fault | None, connection: Connection) -> None:
    """Run the child."""
    import torch

    from hlx_model.checkpoints import weights
    from hlx_model.cli import app
    from hlx_model.training import saver

    torch.set_num_threads(1)
    for name in [name for name in os.environ if name.startswith(("HLX_", "DAGSTER_"))]:
        del os.environ[name]
    os.environ["HLX_SAVE_SECONDS"], saver.SAVE_SHARE = "0", 1e9
    logging.getLogger("hlx_model").addHandler(_Said(connection))
    logging.getLogger("hlx_model").setLevel(logging.INFO)
    write = weights.write_checkpoint

    def write_and_say(*arguments: Any) -> Path:
        path = write(*arguments)
        connection.send(("saved", path.name))
        return path

    _replace(weights, "write_checkpoint", write_and_say)
    disk = _Disk(task.training.parent, fault, lambda: connection.send(("fault", None)))
    disk.watch()
    sys.stderr = io.StringIO()  # the progress bar
    sys.argv = [
        "hlx", "train", "--phase", "1", "--corpus", str(task.document), "--checkpoint-dir", str(task.training),
        "--device", "cpu", *task.options,
    ]  # fmt: skip
    code: int | str | None = None
    try:
        app()
    except SystemExit as end:
        code = end.code
    said = code if isinstance(code, str) else ""
    connection.send(("ended", (1 if said else int(code or 0), said, disk.events)))


def _replace(owner: object, name: str, function: Callable[..., Any]) -> None:
    assert hasattr(owner, name)
    setattr(owner, name, function)


class _Disk:
    """Sees each file operation of this process under a root before it happens, and causes a fault."""

    def __init__(self, root: Path, fault: Fault | None, tell: Callable[[], None]) -> None:
        self._root, self._fault, self._tell = str(root), fault, tell
        self.events: list[Event] = []

    def watch(self) -> None:
        """Install it; a process cannot remove it again."""
        import pyarrow.parquet as pq
        from safetensors import SafetensorError
        from safetensors.torch import save_file

        from hlx_model.checkpoints import weights

        sys.addaudithook(self._audit)
        fsync, fdopen = os.fsync, os.fdopen
        write_table, write_batch = pq.write_table, pq.ParquetWriter.write_batch

        def fsync_seen(descriptor: int) -> None:
            self._reach("fsync", _path_of(descriptor))
            fsync(descriptor)

        def fdopen_seen(descriptor: int, mode: str = "r", *arguments: Any, **named: Any) -> Any:
            if mode != "wb":
                return fdopen(descriptor, mode, *arguments, **named)
            return _InHalves(descriptor, self._reach)

        def save_file_seen(tensors: dict[str, Any], path: Path) -> None:
            # As safetensors does it: into a temporary file, and with an error of its own.
            temporary = path.with_name(".tmpHalved")
            try:
                self._reach("write", path)
                temporary.write_bytes(b"\0" * 1000)
                self._reach("half", path)
            except OSError as error:
                temporary.unlink(missing_ok=True)
                reason = f"{os.strerror(error.errno or 0)} (os error {error.errno})"
                raise SafetensorError(f"Error while serializing: I/O error: {reason}") from None
            temporary.unlink()
            save_file(tensors, path)

        def write_table_seen(table: Any, where: Any, *arguments: Any, **named: Any) -> None:
            if isinstance(where, Path):
                self._reach("write", where)
            write_table(table, where, *arguments, **named)

        def write_batch_seen(writer: Any, *arguments: Any, **named: Any) -> None:
            # The file has no footer yet.
            self._reach("half", Path(self._root) / "corpora" / "rows.parquet")
            write_batch(writer, *arguments, **named)

        _replace(os, "fsync", fsync_seen)
        _replace(os, "fdopen", fdopen_seen)
        _replace(weights, "save_file", save_file_seen)
        _replace(pq, "write_table", write_table_seen)
        _replace(pq.ParquetWriter, "write_batch", write_batch_seen)

    def _audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            path, _, flags = arguments
            if isinstance(path, str | Path) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
                self._reach("open", path)
        elif event == "os.rename":
            self._reach("rename", _path_in(arguments[1], arguments[3]))
        elif event in ("os.remove", "os.rmdir"):
            self._reach(event.removeprefix("os."), _path_in(arguments[0], arguments[1]))
        elif event == "os.mkdir":
            self._reach("mkdir", _path_in(arguments[0], arguments[2]))

    def _reach(self, operation: str, path: str | Path) -> None:
        path = str(path)
        if not path.startswith(self._root) or "/.tmpHalved" in path:
            return
        number, fault = len(self.events), self._fault
        self.events.append(Event(operation, _place(path[len(self._root) + 1 :])))
        if fault is None or number < fault.at or (number > fault.at and not fault.lasting):
            return
        if number == fault.at:
            self._tell()
        if fault.error is None:
            if number == fault.at:
                os.kill(os.getpid(), fault.signal)
        elif operation in REFUSED[fault.error]:
            # The system does not name the file in what it says of an open one.
            named = () if operation in ("write", "half", "fsync") else (path,)
            raise OSError(fault.error, os.strerror(fault.error), *named)


class _InHalves(io.BufferedWriter):
    """A file whose lines are written in two halves."""

    def __init__(self, descriptor: int, reach: Callable[[str, str], None]) -> None:
        super().__init__(io.FileIO(descriptor, "wb"))
        self._reach, self._path = reach, _path_of(descriptor)

    def writelines(self, lines: Any) -> None:
        content = b"".join(lines)
        self._reach("write", self._path)
        self.write(content[: len(content) // 2])
        self.flush()
        self._reach("half", self._path)
        self.write(content[len(content) // 2 :])


def _path_of(descriptor: int) -> str:
    return str(Path(f"/proc/self/fd/{descriptor}").readlink())


def _path_in(path: str | Path, directory: int) -> str:
    """Return a path that may be relative to a directory's descriptor, as in `shutil.rmtree`."""
    return str(path) if directory == -1 else f"{_path_of(directory)}/{path}"


def _place(path: str) -> str:
    """Return a path without what varies: temporary names, ids, numbers of epochs and steps."""
    parts = []
    for part in path.split("/"):
        part = re.sub(r"^\.(.+)\.[^.]+$", r"\1", part)
        part = re.sub(r"^phase\d_(?:([A-Z]+)_)?(?:epoch|step)\d+$", lambda found: found[1] or "EPOCH", part)
        if not re.fullmatch(r"[0-9a-f]{16,}|\.new-.*", part):
            parts.append(part)
    return "/".join(parts)
