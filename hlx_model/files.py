"""How files are written: whole or not at all, with the modes that the umask leaves.

Every file has mode 0666 and every folder 0777, each less the umask. A setgid folder hands on its group and its bit. The
kernel does both when a file or a folder is made, so nothing here reads or sets the umask, or changes a folder's mode.
"""

import hashlib
import json
import math
import os
import secrets
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any


def utc_now() -> str:
    """The time: UTC, ISO 8601, in seconds."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def canonical_json(value: Any) -> str:
    """One text for one value: keys sorted, no spaces, no NaN (`ValueError`); for hashing."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def digest_of(value: Any) -> str:
    """SHA-256 of a JSON value's canonical text."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Let an error of the disk name the file; the system does not where the file is open."""
    try:
        yield
    except OSError as error:
        if error.errno is not None and error.filename is None:
            error.filename = str(path)
        raise


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        with _named(path):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def unfinished(path: Path) -> Path:
    """Return a new hidden name beside `path`, for what is half written or half removed.

    A name of this form is known to be a leftover after a kill (`cleanup/inventory.py`, `runs/directory.py`).
    """
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}")


def write_bytes(path: Path, content: bytes, *, durable: bool = True) -> None:
    """Write a file by atomic rename: readers see the old one or the new one.

    `durable` waits for the disk, so that this holds after a power cut too; what is written again in a
    moment (heartbeat, metrics) does without.
    """
    _write(path, [content], durable=durable)


def write_lines(path: Path, lines: Iterable[str]) -> None:
    """Write UTF-8 text that comes piece by piece, by atomic rename."""
    _write(path, (line.encode() for line in lines), durable=True)


def _write(path: Path, pieces: Iterable[bytes], *, durable: bool) -> None:
    if path.is_dir():
        raise ValueError(f"{path} is a directory: name a file")
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = unfinished(path)
    # Not `tempfile`, which makes its files 0600 and its folders 0700 under any umask.
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        with _named(path), os.fdopen(descriptor, "wb") as file:
            file.writelines(pieces)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    if durable:
        _sync(path.parent)


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 text by atomic rename."""
    write_bytes(path, text.encode())


def write_json(path: Path, value: Any, *, durable: bool = True) -> None:
    """Write JSON, indented for people, by atomic rename; NaN and infinity are a `ValueError`."""
    write_bytes(path, json_text(value).encode(), durable=durable)


def json_text(value: Any) -> str:
    """Return JSON, indented for people; NaN and infinity are a `ValueError`."""
    return json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def named_specials(value: Any) -> Any:
    """A JSON value in which NaN and infinities are their names: `"nan"`, `"inf"`, `"-inf"`."""
    if isinstance(value, Mapping):
        return {key: named_specials(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [named_specials(item) for item in value]
    return repr(value) if isinstance(value, float) and not math.isfinite(value) else value


def read_json(path: Path) -> Any:
    """The JSON value in a file."""
    return json.loads(path.read_text(encoding="utf-8"))


@contextmanager
def new_directory(target: Path) -> Iterator[Path]:
    """Yield a temporary directory to fill, which takes `target`'s name when the block ends well.

    Every file in it gets the mode that the umask leaves, whatever wrote it, and is synced. Then the directory is
    renamed and its parent synced. A directory that bore the name is replaced; on an error it stays as it was.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = unfinished(target)
    temporary.mkdir()
    try:
        yield temporary
        mode = temporary.stat().st_mode & 0o666
        for path in temporary.rglob("*"):
            _set_mode(path, mode)
            _sync(path)
        _sync(temporary)
        if target.exists():
            replaced = unfinished(target.with_name(f"{target.name}.old"))
            replaced.mkdir()
            target.replace(replaced / target.name)
            temporary.replace(target)
            shutil.rmtree(replaced)
        else:
            temporary.replace(target)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    _sync(target.parent)


def _set_mode(path: Path, mode: int) -> None:
    """Give a file that a library wrote `mode`: safetensors makes its own 0600 under any umask."""
    # A file system without modes refuses the call, so it is only made where something is to change.
    if path.is_file() and path.stat().st_mode & 0o666 != mode:
        path.chmod(mode)


@contextmanager
def staging(folder: Path) -> Iterator[Path]:
    """Yield a new hidden directory in `folder`, to write what is then renamed; it is removed when the block ends."""
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / f".new-{secrets.token_hex(4)}"
    temporary.mkdir()
    try:
        yield temporary
    finally:
        shutil.rmtree(temporary)
