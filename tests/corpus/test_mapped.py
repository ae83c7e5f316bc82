"""Rows that are mapped from a file are those that are read into memory."""

from pathlib import Path

import pyarrow as pa
import pytest

from hlx_model.corpus import CorpusError, mapped, store
from hlx_model.corpus.build import BuiltCorpora, build
from hlx_model.corpus.mapped import mapped_rows
from hlx_model.layout import ROWS, Artifacts
from tests.support.documents import small_text


@pytest.fixture
def built(tmp_path: Path) -> BuiltCorpora:
    """Return corpora of two documents with the same rows, the last one with other lines."""
    for number, text in enumerate((small_text(), "A note of mine.\n\n" + small_text())):
        document = tmp_path / f"{number}.md"
        document.write_text(text, encoding="utf-8")
        made = build([document], Artifacts.at(tmp_path / "root"), seq_length=64)
    return made


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.mark.parametrize("asset", ["english_corpus", "hlx_corpus", "paired_corpus"])
def test_mapped_rows_are_those_in_memory(asset: str, built: BuiltCorpora) -> None:
    directory, examples = built.derived[asset].directory, built.examples.directory
    before, allocated = names(directory), pa.total_allocated_bytes()
    found = mapped_rows(directory, examples, large=0)
    assert pa.total_allocated_bytes() == allocated
    expected = mapped_rows(directory, examples, large=1 << 40)
    assert found.equals(expected, check_metadata=True)
    assert set(found["document"].to_pylist()) == {"1.md"}
    assert mapped_rows(directory, large=0).equals(store.load(directory), check_metadata=True)
    assert names(directory) == before, "the file is removed"


def test_damaged_rows_are_not_mapped(built: BuiltCorpora) -> None:
    directory = built.derived["hlx_corpus"].directory
    (directory / ROWS).write_bytes((built.derived["english_corpus"].directory / ROWS).read_bytes())
    with pytest.raises(CorpusError, match="its rows are not those of version"):
        mapped_rows(directory, large=0)
    assert not list(directory.glob(".new*"))


def test_rows_that_cannot_be_written_are_kept_in_memory(
    built: BuiltCorpora, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(folder: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(mapped, "staging", full)
    directory = built.derived["hlx_corpus"].directory
    assert mapped_rows(directory, large=0).equals(store.load(directory))
    assert "kept in memory (No space left on device)" in caplog.text
