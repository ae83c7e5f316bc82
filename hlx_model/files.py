"""Reading and writing files: a file is written whole or not at all, with the modes that the umask leaves.

Every file has mode 0666 and every folder 0777, each less the umask. What is made in a setgid folder inherits its group
and its bit. The kernel does both, so nothing here reads or sets the umask, or changes the mode of a folder.
"""

import errno
import fcntl
import hashlib
import json
import math
import os
import secrets
import select
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime
from io import BufferedReader
from pathlib import Path
from typing import Any, cast

STDIN = Path("-")
"""Standard input, as the name of an input."""


def utc_now() -> str:
    """Return the time: UTC, ISO 8601, in seconds."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal; `OSError` as for `open_input`."""
    with open_input(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def open_input(path: Path) -> Iterator[BufferedReader]:
    """Open a file that a user named, to be read any number of times from its beginning.

    A pipe, which can be read once, is read into a temporary file. `-` is standard input.

    Raises:
        OSError: it is missing, a directory, or cannot be read; or a device, which may have no end.
    """
    with open(path, "rb", opener=_input) as file:
        if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            yield file
            return
        with tempfile.TemporaryFile() as copy:
            shutil.copyfileobj(file, copy)
            copy.seek(0)
            yield cast("BufferedReader", copy)


_WRITER_SECONDS = 1.0
"""For somebody to open a named pipe whose other end we have opened."""


def _input(path: str, flags: int) -> int:
    """Open an input: an opener of `open`."""
    if path == str(STDIN):
        return os.dup(0)
    # Without waiting for ever for somebody who writes into a pipe: if there is nobody, it is empty.
    descriptor = os.open(path, flags | os.O_NONBLOCK)
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "a device, not a file", path)
    if not stat.S_ISREG(mode):
        waiting = select.poll()
        waiting.register(descriptor, select.POLLIN)
        waiting.poll(_WRITER_SECONDS * 1000)
    os.set_blocking(descriptor, True)
    return descriptor


def canonical_json(value: Any) -> str:
    """Return the one JSON text of a value, for hashing: keys sorted, no spaces.

    Raises:
        ValueError: the value contains NaN or an infinity.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def digest_of(value: Any) -> str:
    """Return the SHA-256 of the canonical JSON text of a value, in hexadecimal."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


@contextmanager
def named_errors(path: Path) -> Iterator[None]:
    """Add the path to an error of the disk: the system omits it for a file that is already open."""
    try:
        yield
    except OSError as error:
        if error.errno is not None and error.filename is None:
            error.filename = str(path)
        raise


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    """Yield a descriptor of a file or a folder."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _sync(path: Path) -> None:
    with named_errors(path), _opened(path) as descriptor, _if_supported() if path.is_dir() else nullcontext():
        os.fsync(descriptor)


_UNSUPPORTED = (errno.EINVAL, errno.ENOTSUP, errno.ENOSYS, errno.EPERM)
"""What a file system answers that cannot sync folders or change modes (CIFS, NTFS, exFAT)."""


@contextmanager
def _if_supported() -> Iterator[None]:
    """Ignore that the file system does not support an operation; any other error is raised."""
    try:
        yield
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise


def lock(descriptor: int, operation: int, path: Path) -> None:
    """Lock an open file or folder (`fcntl.flock`).

    Raises:
        BlockingIOError: another process has the lock, and `operation` does not wait.
        OSError: the disk has no locks; says so.
    """
    try:
        fcntl.flock(descriptor, operation)
    except BlockingIOError:
        raise
    except OSError as error:
        said = f"{error.strerror}: this disk does not lock files: choose a folder on a local disk"
        raise OSError(error.errno, said, str(path)) from None


def unfinished(path: Path) -> Path:
    """Return a new hidden path beside `path`, for what is half written or half removed.

    After a kill, `hlx clean` and the next training know it by its name (`cleanup/`, `runs/directory.py`).
    """
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}")


def write_bytes(path: Path, content: bytes | Iterable[bytes], *, durable: bool = True) -> None:
    """Write a file by atomic rename: readers see the old content or the new one.

    Args:
        path: the file.
        content: its bytes, or pieces of them.
        durable: wait for the disk, so that this is true after a power cut too. Files that are soon written again
            (heartbeat, metrics) do not need it.

    Raises:
        ValueError: `path` is a directory.
        OSError: the disk is full or refuses.
    """
    if path.is_dir():
        raise ValueError(f"{path} is a directory: name a file")
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = unfinished(path)
    # Not `tempfile`, which makes its files 0600 and its folders 0700 under any umask.
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        with named_errors(path), os.fdopen(descriptor, "wb") as file:
            file.writelines([content] if isinstance(content, bytes) else content)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    if durable:
        _sync(path.parent)


def write_lines(path: Path, lines: Iterable[str]) -> None:
    """Write pieces of UTF-8 text as one file, by atomic rename."""
    write_bytes(path, (line.encode() for line in lines))


def append_line(path: Path, line: str) -> None:
    """Append a line of UTF-8 text. If a power cut has left a shortened line, this one begins on a line of its own."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = f"{line}\n".encode()
    # Opened for appending, a whole line is written at once, also if several processes write.
    with path.open("a+b") as file:
        shortened = file.seek(0, os.SEEK_END) > 0 and os.pread(file.fileno(), 1, file.tell() - 1) != b"\n"
        file.write(b"\n" + content if shortened else content)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text by atomic rename."""
    write_bytes(path, text.encode())


def write_json(path: Path, value: Any, *, durable: bool = True) -> None:
    """Write JSON, indented for people, by atomic rename; `ValueError` for NaN and infinity."""
    write_bytes(path, json_text(value).encode(), durable=durable)


def json_text(value: Any) -> str:
    """Return a value as JSON, indented for people; `ValueError` for NaN and infinity."""
    return json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def named_specials(value: Any) -> Any:
    """Return a JSON value with NaN and infinities replaced by their names: `"nan"`, `"inf"`, `"-inf"`."""
    if isinstance(value, Mapping):
        return {key: named_specials(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [named_specials(item) for item in value]
    return repr(value) if isinstance(value, float) and not math.isfinite(value) else value


def read_json(path: Path) -> Any:
    """Return the JSON value in a file; `ValueError` if it is not JSON."""
    text = path.read_text(encoding="utf-8")
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None


UNREADABLE = (OSError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError)
"""What reading a damaged file may raise."""


@contextmanager
def skipping(path: Path, note: Callable[[str], object]) -> Iterator[None]:
    """Give `note` one line if a file or folder cannot be read in the block, and continue without it.

    So one damaged file does not end a scan of many.
    """
    try:
        yield
    except UNREADABLE as error:
        cause = error.strerror if isinstance(error, OSError) and error.strerror else f"{error}"
        note(" ".join(f"skipped: {path} cannot be read ({cause or type(error).__name__})".split()))


@contextmanager
def new_directory(target: Path, *, keep: Callable[[Path], bool] | None = None) -> Iterator[Path]:
    """Yield a temporary directory to fill; it gets the name of `target` when the block ends without an error.

    Every file in it gets the mode that the umask leaves, whatever wrote it, and is synced. Then the directory is
    renamed and its parent synced. On an error an existing `target` stays as it was.

    Args:
        target: the directory. An existing one is replaced, unless `keep` says otherwise.
        keep: for a directory that is named by its content: says whether an existing one is as it should be. It then
            stays, and the new one is discarded. Any number of processes may write the same target at once.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = unfinished(target)
    temporary.mkdir()
    try:
        yield temporary
        mode = temporary.stat().st_mode & 0o666
        for path in temporary.rglob("*"):
            # Safetensors writes 0600 under any umask.
            if path.is_file() and path.stat().st_mode & 0o666 != mode:
                with _if_supported():
                    path.chmod(mode)
            _sync(path)
        _sync(temporary)
        if keep is None:
            _replace(temporary, target)
        else:
            _put(temporary, target, keep)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    _sync(target.parent)


def _replace(temporary: Path, target: Path) -> None:
    if not target.exists():
        temporary.replace(target)
        return
    replaced = unfinished(target.with_name(f"{target.name}.old"))
    replaced.mkdir()
    target.replace(replaced / target.name)
    temporary.replace(target)
    shutil.rmtree(replaced)


def _put(temporary: Path, target: Path, keep: Callable[[Path], bool]) -> None:
    """Rename `temporary`, or discard it if `target` is there and is to be kept."""
    try:
        temporary.replace(target)
        return
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
    if not keep(target):
        # One process at a time: a slower one must not replace what a faster one has just put there.
        with _opened(target.parent) as descriptor:
            lock(descriptor, fcntl.LOCK_EX, target.parent)
            if not keep(target):
                _replace(temporary, target)
    shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def filled_directory(target: Path) -> Iterator[Path]:
    """Yield a temporary directory to fill; its files are moved into `target` when the block ends without an error.

    For a target that exists and is empty, and stays the folder that it is: a shell may stand in it, or a disk be
    mounted there. One that does not exist is made as by `new_directory`.
    """
    if not target.is_dir():
        with new_directory(target) as made:
            yield made
        return
    with staging(target) as temporary:
        with new_directory(temporary / target.name) as made:
            yield made
        for path in sorted((temporary / target.name).iterdir()):
            path.replace(target / path.name)
    _sync(target)


@contextmanager
def staging(folder: Path) -> Iterator[Path]:
    """Yield a new hidden directory in `folder`, for files that are then renamed; it is removed when the block ends."""
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / f".new-{secrets.token_hex(4)}"
    temporary.mkdir()
    try:
        yield temporary
    finally:
        shutil.rmtree(temporary)
