"""A file is written whole or stays as it was, and a value has one canonical text."""

import json
import math
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
