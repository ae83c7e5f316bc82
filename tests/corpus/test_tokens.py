"""Texts as token ids: the same as encoding each text, from a file that is verified, or made again."""

import multiprocessing
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hlx_model.cleanup.disk import foreign_file, is_leftover
from hlx_model.composer.sampling import compose
from hlx_model.corpus import store, tables, tokens
from hlx_model.corpus.build import build
from hlx_model.corpus.store import VerifiedCorpus
from hlx_model.corpus.tokens import Texts, corpus_texts, token_files
from hlx_model.layout import CORPUS_FOLDER, ROWS, Artifacts
from hlx_model.model.tokenizer import encode, encode_array, encode_example

TEXTS = st.lists(st.text("abc →🜊é\n\0漢", max_size=12), max_size=12)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> dict[str, VerifiedCorpus]:
    folder = tmp_path_factory.mktemp("kept")
    (folder / "composed.md").write_text(compose(60, seed=0), encoding="utf-8")
    return build([folder / "composed.md"], Artifacts.at(folder), seq_length=256).derived


@pytest.fixture
def corpus(kept: dict[str, VerifiedCorpus], tmp_path: Path) -> Iterator[VerifiedCorpus]:
    """A copy of the pairs in a home of its own."""
    pairs = kept["paired_corpus"].directory
    yield store.verify(Path(shutil.copytree(pairs, tmp_path / pairs.parent.name / pairs.name)))


@given(TEXTS)
def test_texts_are_encoded_as_each_of_them_alone(texts: list[str]) -> None:
    found = Texts.of(texts)
    assert found.ids.tolist() == [token for text in texts for token in encode_example(text)]
    assert (found.lengths.tolist(), found.characters) == ([len(text) + 2 for text in texts], sum(map(len, texts)))


@given(st.text())
def test_an_array_has_the_ids_of_the_text(text: str) -> None:
    assert encode_array(text).tolist() == encode(text)


def test_half_a_surrogate_pair_is_unknown_as_any_other_character() -> None:
    assert encode_array("a\ud800b").tolist() == encode("a\ud800b")


def test_texts_are_a_sequence_of_strings() -> None:
    texts = Texts.of(["Sort", "", "∅ 🜊"])
    assert list(texts) == ["Sort", "", "∅ 🜊"] and texts[-1] == "∅ 🜊" and list(texts[1:]) == ["", "∅ 🜊"]
    assert texts == Texts.of(["Sort", "", "∅ 🜊"]) != Texts.of(["Sort", "", "∅ 🜋"[:2]])
    assert list(texts[:1].repeated(2, texts[2:])) == ["Sort", "Sort", "∅ 🜊"]
    assert not Texts.of([]) and Texts.of([]).characters == 0
    with pytest.raises(IndexError):
        texts[3]


@pytest.mark.parametrize("large", [1, tokens.LARGE], ids=["file", "memory"])
@pytest.mark.parametrize("asset", tables.DERIVED)
def test_every_corpus_gives_the_texts_of_its_rows(
    asset: str, large: int, kept: dict[str, VerifiedCorpus], tmp_path: Path
) -> None:
    directory = kept[asset].directory
    copy = store.verify(Path(shutil.copytree(directory, tmp_path / asset / directory.name)))
    found, rows = corpus_texts(copy, large), store.load(copy)
    for split in ("train", "validation", "test"):
        assert list(found.of(split)) == tables.model_texts(rows, split)
    assert list(found.texts) == tables.model_texts(rows)
    assert [path.name for path in token_files(copy.directory)] == [f"tokens-{found.sha256}.bin"] * (large == 1)
    assert corpus_texts(store.read(copy), large).texts == found.texts


def test_the_second_reader_reads_the_file_of_the_first(corpus: VerifiedCorpus) -> None:
    first, (path,) = corpus_texts(corpus, 1), token_files(corpus.directory)
    written = path.stat()
    again = corpus_texts(corpus, 1)
    assert (again.texts, again.sha256) == (first.texts, first.sha256)
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (written.st_ino, written.st_mtime_ns)


def test_no_page_of_the_file_changes_if_an_array_does(corpus: VerifiedCorpus) -> None:
    found = corpus_texts(corpus, 1)
    found.texts.ids[:] = 7
    assert all(map(tokens.is_intact, token_files(corpus.directory)))


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "a changed byte": lambda content: bytes([content[0] ^ 1]) + content[1:],
    "cut in the middle": lambda content: content[: len(content) // 2],
    "empty": lambda content: b"",
    "longer": lambda content: content + bytes(8),
    "no offsets": lambda content: content[:-64],
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_file_is_made_again(damage: str, corpus: VerifiedCorpus, caplog: pytest.LogCaptureFixture) -> None:
    before, (path,) = list(corpus_texts(corpus, 1).texts), token_files(corpus.directory)
    path.write_bytes(DAMAGE[damage](path.read_bytes()))
    assert not tokens.is_intact(path)
    assert list(corpus_texts(corpus, 1).texts) == before
    assert tokens.is_intact(path) and token_files(corpus.directory) == [path]
    assert f"{path} is damaged: it is made again" in caplog.text


def test_the_file_of_other_rows_is_not_used(corpus: VerifiedCorpus, kept: dict[str, VerifiedCorpus]) -> None:
    other = kept["hlx_corpus"].directory
    copy = store.verify(Path(shutil.copytree(other, corpus.directory.parents[1] / "hlx_corpus" / other.name)))
    corpus_texts(copy, 1)
    (foreign,) = token_files(copy.directory)
    shutil.copy(foreign, corpus.directory)
    found = corpus_texts(corpus, 1)
    assert list(found.texts) == tables.model_texts(store.load(corpus))
    assert f"tokens-{found.sha256}.bin" != foreign.name


def test_without_a_place_to_write_the_texts_are_in_memory(
    corpus: VerifiedCorpus, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(tokens, "write_bytes", refuse)
    found = corpus_texts(corpus, 1)
    assert list(found.texts) == tables.model_texts(store.load(corpus)) and found.sha256 is None
    assert token_files(corpus.directory) == [] and "Read-only file system" in caplog.text
    assert [path.name for path in corpus.directory.iterdir() if is_leftover(path)] == []


def test_several_writers_leave_one_file(corpus: VerifiedCorpus) -> None:
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=corpus_texts, args=(corpus, 1)) for _ in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0, 0, 0]
    (path,) = token_files(corpus.directory)
    assert tokens.is_intact(path)
    assert foreign_file(corpus.directory, CORPUS_FOLDER) is None


def test_a_copy_of_a_corpus_has_its_file(corpus: VerifiedCorpus, tmp_path: Path) -> None:
    corpus_texts(corpus, 1)
    copy = store.keep(Artifacts.at(tmp_path / "elsewhere"), corpus)
    assert [path.name for path in token_files(copy.directory)] == [p.name for p in token_files(corpus.directory)]
    assert all(map(tokens.is_intact, token_files(copy.directory)))


def test_a_corpus_without_rows_has_no_texts(tmp_path: Path) -> None:
    schema = tables.ENGLISH_CORPUS.schema
    empty = pa.Table.from_batches([], schema)
    found = corpus_texts(VerifiedCorpus(tmp_path, {}, empty), 1)
    assert (len(found.texts), len(found.of("train"))) == (0, 0)


def test_one_row_is_enough(tmp_path: Path) -> None:
    row = pa.table({"english": ["Sort"], "split": ["train"], "section": [""], "operation": [""],
                    "document": ["a.md"], "line": pa.array([1], pa.int32())}, tables.ENGLISH_CORPUS.schema)  # fmt: skip
    found = corpus_texts(VerifiedCorpus(tmp_path, {}, row), 1)
    assert list(found.of("train")) == ["Sort"] and list(found.of("test")) == []
    assert list(found.of("train", ["a.md"])) == ["Sort"] and list(found.of("train", ["a.md"], others=True)) == []


def test_offsets_are_counted_in_64_bits(corpus: VerifiedCorpus) -> None:
    """A million entries have a billion tokens; more than 2**31 must not wrap around."""
    ids = np.zeros(8, np.uint8)
    texts = Texts(ids, np.array([0, 2**31 + 5]), np.array([2**31, 2**31]))
    assert texts.characters == 2**32 - 4
    assert corpus_texts(corpus, 1).texts.starts.dtype == np.int64


def test_texts_over_the_length_of_the_corpus_are_left_out(tmp_path: Path) -> None:
    schema = tables.with_max_tokens(tables.ENGLISH_CORPUS.schema, 6)
    rows = {"english": ["Sort", "Sorts", "∅∅∅∅"], "split": ["train"] * 3, "section": [""] * 3, "operation": [""] * 3,
            "document": ["a.md"] * 3, "line": pa.array([1, 2, 3], pa.int32())}  # fmt: skip
    table = pa.table(rows, schema)
    assert list(corpus_texts(VerifiedCorpus(tmp_path, {}, table), 1).of("train")) == ["Sort", "∅∅∅∅"]
    assert tables.model_texts(table) == ["Sort", "∅∅∅∅"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_somebody_elses_corpus_is_read_all_the_same(corpus: VerifiedCorpus) -> None:
    corpus.directory.chmod(0o555)
    try:
        assert list(corpus_texts(corpus, 1).texts) == tables.model_texts(store.load(corpus))
    finally:
        corpus.directory.chmod(0o755)
    assert (corpus.directory / ROWS).is_file()
