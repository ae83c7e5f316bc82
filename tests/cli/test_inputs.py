"""A file that a user names is read once and to its end, whatever it is, or refused in one line."""

import hashlib
import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from hlx_model.checkpoints import pt_import
from hlx_model.checkpoints.manifest import CheckpointError
from hlx_model.checkpoints.seal import verify_checkpoint
from hlx_model.checkpoints.weights import load_model
from hlx_model.corpus.documents import keep_documents, kept_documents
from hlx_model.layout import Artifacts
from tests.support.command import Hlx
from tests.support.curriculum import Curriculum

HLX = [sys.executable, "-m", "hlx_model"]


def write_all(descriptor: int, content: bytes) -> None:
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)


@contextmanager
def piped(content: bytes) -> Iterator[Path]:
    """Yield the path of a pipe with some content, as the shell's `<(...)` does."""
    read, write = os.pipe()
    writer = threading.Thread(target=write_all, args=(write, content))
    writer.start()
    try:
        yield Path(f"/dev/fd/{read}")
    finally:
        writer.join()
        os.close(read)


@contextmanager
def fifo(path: Path, content: bytes) -> Iterator[Path]:
    """Yield a named pipe into which somebody writes."""
    os.mkfifo(path)
    writer = threading.Thread(target=lambda: path.write_bytes(content))
    writer.start()
    yield path
    writer.join()


def test_a_pipe_is_read_once_and_its_hash_is_of_what_was_read(tmp_path: Path, small_document: Path) -> None:
    content = small_document.read_bytes()
    with piped(content) as pipe, fifo(tmp_path / "named.md", content) as named:
        for number, path in enumerate((small_document, pipe, named)):
            (kept,) = kept_documents(keep_documents(Artifacts.at(tmp_path / str(number)), [path]))
            assert kept.sha256 == hashlib.sha256(content).hexdigest() and kept.bytes == len(content)


@pytest.mark.parametrize("command", [("corpus", "check"), ("corpus", "statistics")])
def test_standard_input_is_a_document(small_document: Path, command: tuple[str, str]) -> None:
    expected = subprocess.run([*HLX, *command, small_document], capture_output=True, text=True, check=False)
    with small_document.open("rb") as file:
        ran = subprocess.run([*HLX, *command, "-"], stdin=file, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (expected.returncode, "")
    assert ran.stdout == expected.stdout


def socket_file(path: Path) -> Path:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
    return path


def linked(path: Path, target: Path) -> Path:
    path.symlink_to(target)
    return path


def nobody_writes(path: Path) -> Path:
    os.mkfifo(path)
    return path


UNUSABLE: dict[str, tuple[Callable[[Path], Path], str]] = {
    "endless": (lambda _: Path("/dev/zero"), "a device, not a file"),
    "random": (lambda _: Path("/dev/urandom"), "a device, not a file"),
    "null": (lambda _: Path("/dev/null"), "a device, not a file"),
    "a pipe into which nobody writes": (nobody_writes, "is empty"),
    "socket": (socket_file, "cannot be read"),
    "folder": (lambda path: path.parent, "is a directory"),
    "dangling link": (lambda path: linked(path, Path("nowhere")), "no such file"),
    "link to itself": (lambda path: linked(path, path), "Symlink loop|symbolic links"),
}


@pytest.mark.parametrize("kind", UNUSABLE)
def test_what_has_no_end_or_no_content_is_refused_in_a_line(hlx: Hlx, tmp_path: Path, kind: str) -> None:
    make, message = UNUSABLE[kind]
    path = make(tmp_path / "one.md")
    for command in (("corpus", "check"), ("corpus", "statistics"), ("train", "--phase", 1, "--corpus")):
        ran = hlx(*command, path)
        assert ran.code == 1 and str(path) in ran.error and re.search(message, ran.error)
    if not path.is_dir():
        assert hlx("lineage", "uses", path).code == 1


def test_the_hash_of_a_pt_file_is_of_what_was_loaded(
    curriculum: Curriculum, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "m.pt"
    torch.save(load_model(verify_checkpoint(curriculum.phases[1].checkpoint)).state_dict(), path)
    content = path.read_bytes()
    assert pt_import.load_pt(path).sha256 == hashlib.sha256(content).hexdigest()
    with fifo(tmp_path / "pipe.pt", content) as pipe:
        assert pt_import.load_pt(pipe).sha256 == hashlib.sha256(content).hexdigest()
    load = torch.load

    def replaced(*args: object, **settings: object) -> object:
        found = load(*args, **settings)  # type: ignore[arg-type]
        (tmp_path / "new.pt").write_bytes(b"another")
        (tmp_path / "new.pt").replace(path)
        return found

    def changed(*args: object, **settings: object) -> object:
        found = load(*args, **settings)  # type: ignore[arg-type]
        path.write_bytes(content + b"more")
        return found

    monkeypatch.setattr(torch, "load", replaced)
    assert pt_import.load_pt(path).sha256 == hashlib.sha256(content).hexdigest()
    path.write_bytes(content)
    monkeypatch.setattr(torch, "load", changed)
    with pytest.raises(CheckpointError, match=r"m\.pt: it changed while it was read: wait until it is written"):
        pt_import.load_pt(path)


def test_a_document_is_found_by_any_path_to_it(
    hlx: Hlx, curriculum: Curriculum, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    document, within = curriculum.document, ("--checkpoint-dir", curriculum.training)
    (tmp_path / "folder").mkdir()
    (tmp_path / "link.md").symlink_to(document)
    monkeypatch.chdir(tmp_path / "folder")
    around = document.parent / ".." / document.parent.name / document.name
    for path in (os.path.relpath(document), "../link.md", around):
        ran = hlx("lineage", "uses", path, *within)
        assert ran.code == 0 and "trainings that learned from it: 3" in ran.out
    with piped(document.read_bytes()) as pipe:
        assert "as it is now" in hlx("lineage", "uses", pipe, *within).out


def test_an_error_of_the_system_is_its_file_and_its_reason(hlx: Hlx, small_document: Path) -> None:
    for arguments, said in (
        (("corpus", "statistics", small_document, "--output", "/dev/full"), "/dev/full: No space left on device"),
        (("corpus", "statistics", small_document, "--output", "x" * 300), ": File name too long"),
        (("watchdog", "replay", "/dev/zero"), "/dev/zero: a pipe or a device: name a metrics.parquet"),
    ):
        ran = hlx(*arguments)
        assert ran.code == 1 and said in ran.error and "[Errno" not in ran.err
