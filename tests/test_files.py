"""A file is written whole or stays as it was, and a value has one canonical text."""

import errno
import fcntl
import json
import math
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hlx_assets.ui import home_lock
from hlx_model.files import (
    canonical_json,
    digest_of,
    named_specials,
    new_directory,
    read_json,
    sha256_of,
    write_bytes,
    write_json,
)
from hlx_model.runs.directory import training_lock

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
JSON = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=10)


def test_a_reader_never_sees_half_a_file(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    write_json(path, ["0"] * 20_000)
    ended = threading.Event()

    def write() -> None:
        for i in range(30):
            write_json(path, [str(i)] * 20_000)
        ended.set()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        while not ended.is_set():
            content = read_json(path)
            assert len(content) == 20_000 and len(set(content)) == 1
    finally:
        writer.join()
    assert list(tmp_path.iterdir()) == [path]


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    write_json(path, {"loss": 1.5})
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(path, {"loss": math.nan})
    with pytest.raises(TypeError):
        write_bytes(path, "text")  # type: ignore[arg-type]
    assert read_json(path) == {"loss": 1.5}
    assert list(tmp_path.iterdir()) == [path]


def test_a_directory_appears_whole_and_replaces_one_of_its_name(tmp_path: Path) -> None:
    target = tmp_path / "kept" / "version"
    for content in ("old", "new"):
        with new_directory(target) as directory:
            (directory / content).write_text(content)
            assert not (target / content).exists()
    assert [path.name for path in target.iterdir()] == ["new"]
    assert list(target.parent.iterdir()) == [target]


def test_an_unfinished_directory_leaves_the_old_one(tmp_path: Path) -> None:
    target = tmp_path / "version"
    with new_directory(target) as directory:
        (directory / "old").touch()
    with pytest.raises(RuntimeError, match="no space"), new_directory(target) as directory:
        (directory / "new").touch()
        raise RuntimeError("no space")
    assert [path.name for path in target.iterdir()] == ["old"]
    assert list(tmp_path.iterdir()) == [target]


def test_an_existing_directory_that_is_as_it_should_be_is_never_replaced(tmp_path: Path) -> None:
    target = tmp_path / "version"
    for content in ("first", "second"):
        with new_directory(target, keep=lambda directory: (directory / "first").exists()) as directory:
            (directory / content).touch()
    assert [path.name for path in target.iterdir()] == ["first"]
    (target / "first").rename(target / "damaged")
    with new_directory(target, keep=lambda directory: (directory / "first").exists()) as directory:
        (directory / "first").touch()
    assert [path.name for path in target.iterdir()] == ["first"]
    assert list(tmp_path.iterdir()) == [target]


def test_one_value_has_one_text_and_one_digest() -> None:
    assert canonical_json({"b": [1, 2.5, "→"], "a": None}) == '{"a":null,"b":[1,2.5,"→"]}'
    assert digest_of({"b": 1, "a": 2}) == digest_of({"a": 2, "b": 1}) != digest_of({"a": 2, "b": "1"})
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical_json(math.inf)


def test_a_files_hash_is_its_sha256(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")
    assert sha256_of(tmp_path / "abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


@given(JSON)
def test_any_value_is_valid_json_once_its_specials_are_named(value: object) -> None:
    assert json.loads(json.dumps(named_specials(value), allow_nan=False)) == named_specials(value)


def test_nan_and_infinities_are_named_at_any_depth() -> None:
    found = named_specials({"a": [math.nan, (math.inf, 1.5)], "b": {"c": -math.inf}, "d": "nan"})
    assert found == {"a": ["nan", ["inf", 1.5]], "b": {"c": "-inf"}, "d": "nan"}


def refusing(code: int, when: Callable[..., bool] = lambda *_: True) -> Callable[..., None]:
    """Return an operation that a disk refuses."""

    def refuse(*arguments: object, **_: object) -> None:
        if when(*arguments):
            raise OSError(code, os.strerror(code))

    return refuse


def is_folder(descriptor: int) -> bool:
    return Path(f"/proc/self/fd/{descriptor}").is_dir()


@pytest.mark.parametrize("code", [errno.EINVAL, errno.ENOTSUP, errno.ENOSYS, errno.EPERM])
def test_a_disk_that_syncs_no_folders_and_has_no_modes_is_good_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    monkeypatch.setattr(os, "fsync", refusing(code, is_folder))
    monkeypatch.setattr(Path, "chmod", refusing(code))
    write_bytes(tmp_path / "file", b"whole")
    with new_directory(tmp_path / "folder") as made:
        (made / "private").touch(0o600)
    assert (tmp_path / "file").read_text() == "whole" and (tmp_path / "folder" / "private").exists()


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC, errno.EDQUOT])
def test_a_full_or_broken_disk_stays_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    for when in (is_folder, lambda descriptor: not is_folder(descriptor)):
        monkeypatch.setattr(os, "fsync", refusing(code, when))
        with pytest.raises(OSError, match=os.strerror(code)):
            write_bytes(tmp_path / "file", b"whole")
        with pytest.raises(OSError, match=os.strerror(code)), new_directory(tmp_path / "folder") as made:
            (made / "one").touch()


@pytest.mark.parametrize("code", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_disk_without_locks_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    monkeypatch.setattr(fcntl, "flock", refusing(code))
    with pytest.raises(OSError, match=f"this disk does not lock files: choose .*{tmp_path}"), training_lock(tmp_path):
        pass
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    with pytest.raises(OSError, match="does not lock files"):
        home_lock(tmp_path)
