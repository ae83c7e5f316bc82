"""The corpus of a home is one setting: what changes which part of it, and what a person reads of it."""

import os
from pathlib import Path

import pytest

from hlx_model.corpus.entries import CorpusError
from hlx_model.corpus.setting import CorpusSetting, evaluation_of, remember, remembered
from hlx_model.layout import Artifacts
from hlx_model.profiles import PROFILES
from tests.support.documents import small_text

BEFORE = CorpusSetting(documents=("/a/home.md",), entries=50, seed=3, evaluation=("/a/exam.md",))


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_what_is_not_named_stays() -> None:
    assert BEFORE.changed() == BEFORE.by_environment() == BEFORE
    assert BEFORE.changed(entries=0) == BEFORE.replace(entries=0)
    assert BEFORE.changed(seed=4) == BEFORE.replace(seed=4)
    assert BEFORE.changed(evaluation="default") == BEFORE.replace(evaluation=())


def test_who_names_documents_names_the_whole_corpus(tmp_path: Path) -> None:
    named = BEFORE.changed(corpus=f"one.md{os.pathsep}two.md")
    assert named.documents == (str(tmp_path / "one.md"), str(tmp_path / "two.md"))
    assert (named.entries, named.seed, named.evaluation) == (None, None, BEFORE.evaluation)
    assert BEFORE.changed(corpus="one.md", entries=9, seed=1).entries == 9


def test_a_composed_corpus_is_named_by_a_word() -> None:
    composed = BEFORE.changed(corpus="composed")
    assert composed == CorpusSetting(evaluation=BEFORE.evaluation)
    assert [composed.to_compose(profile) for profile in PROFILES.values()] == [30_000, 20_000]
    assert BEFORE.changed(corpus="one.md").to_compose(PROFILES["quick"]) == 0


def test_the_environment_changes_the_parts_that_it_names(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HLX_ENTRIES", "70")
    monkeypatch.setenv("HLX_EVAL", "other.md")
    assert BEFORE.by_environment() == BEFORE.replace(entries=70, evaluation=(str(tmp_path / "other.md"),))
    monkeypatch.setenv("HLX_CORPUS", "composed")
    assert BEFORE.by_environment() == CorpusSetting(entries=70, evaluation=(str(tmp_path / "other.md"),))


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        (BEFORE, "home.md and 50 composed entries of seed 3; evaluated on exam.md"),
        (CorpusSetting(), "composed entries"),
        (CorpusSetting(entries=25_000), "25,000 composed entries"),
        (CorpusSetting(documents=("/a/home.md", "/b/other.md")), "home.md, other.md"),
        (CorpusSetting(documents=("/a/home.md", "/b/home.md")), "/a/home.md, /b/home.md"),
        (CorpusSetting(documents=("/a/home.md",), entries=0), "home.md"),
    ],
)
def test_a_setting_is_said_in_words(setting: CorpusSetting, words: str) -> None:
    assert str(setting) == words


def test_a_setting_is_remembered_and_a_damaged_file_is_named(tmp_path: Path) -> None:
    artifacts = Artifacts.at(tmp_path / "artifacts")
    assert remembered(artifacts) is None and evaluation_of(artifacts) == []
    remember(artifacts, BEFORE)
    assert remembered(artifacts) == BEFORE and evaluation_of(artifacts) == [Path("/a/exam.md")]
    (tmp_path / "artifacts" / "corpus.json").write_text('{"documents": 3}')
    with pytest.raises(ValueError, match=r"corpus\.json: documents: "):
        remembered(artifacts)


def test_a_document_that_cannot_be_used_is_named_before_anything_starts(tmp_path: Path) -> None:
    Path("small.md").write_text(small_text(), encoding="utf-8")
    Path("empty.md").write_text("nothing here\n")
    small = CorpusSetting().changed(corpus="small.md")
    assert small.require_usable() == small
    for name in ("none.md", "empty.md", "."):
        with pytest.raises(CorpusError, match=str(tmp_path / name).rstrip("/.")):
            small.changed(corpus=name).require_usable()
        with pytest.raises(CorpusError):
            small.changed(evaluation=name).require_usable()


def test_a_negative_number_of_entries_is_refused() -> None:
    with pytest.raises(ValueError, match="entries is -1: it must be a number of entries to compose, 0 for none"):
        CorpusSetting().changed(entries=-1)
