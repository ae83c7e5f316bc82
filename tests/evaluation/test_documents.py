"""Evaluation documents are read with all right values, and answers to them are counted by what is in training."""

from pathlib import Path

import pytest

from hlx_model.composer.spelling import folded
from hlx_model.corpus import CorpusError, value_sha256
from hlx_model.corpus.entries import DocumentRef
from hlx_model.evaluation.answers import evaluate_documents, novelty_in
from hlx_model.evaluation.documents import DEFAULT, documents_for, read_evaluation
from hlx_model.evaluation.translation import PairRow
from hlx_model.language import Format
from hlx_model.verdicts import GateClosed
from tests.support.models import Writer

TEXT = """## Numbers

English: Number seven
HLXL: 7

English: Count all items
HLXL: {1000: {@0: "count", @1: &h_items}}

English: Count all items
LC-T: {C:1000,0="aggregate",1=@count,2=@items}

## Names

English: The name Ada
HLXL: "Ada"
"""
COMPOSED = DocumentRef(name="composed-5-seed-0.md", sha256="0" * 64, bytes=1, source="composed: 5 entries, seed 0")
COPY = COMPOSED.replace(name="mine.md", source="/home/ada/mine.md")


@pytest.fixture
def document(tmp_path: Path) -> Path:
    path = tmp_path / "exam.md"
    path.write_text(TEXT, encoding="utf-8")
    return path


def pair(english: str, value_sha256: str) -> PairRow:
    return PairRow("English", "HLXL", "", english, value_sha256)


def test_a_sentence_has_every_value_that_the_document_gives_it(document: Path) -> None:
    read = read_evaluation([document])
    assert [(q.section, q.english) for q in read.questions] == [
        ("Numbers", "Number seven"), ("Numbers", "Count all items"), ("Names", "The name Ada"),
    ]  # fmt: skip
    right = read.questions[1].right[Format.LC_B]
    assert right == (
        '[1000|0:"count"|1:&items]',
        '[1000|0:"aggregate"|1:&count|2:&items]',
    )
    assert [ref.name for ref in read.documents] == ["exam.md"]


def test_the_data_version_depends_on_what_is_evaluated_and_not_on_remarks(document: Path) -> None:
    before = read_evaluation([document]).data_version
    document.write_text(f"A remark.\n\n{TEXT}", encoding="utf-8")
    assert read_evaluation([document]).data_version == before
    document.write_text(TEXT.replace("HLXL: 7", "HLXL: 8"), encoding="utf-8")
    assert read_evaluation([document]).data_version != before


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (TEXT.replace("HLXL: 7", "HLXL: {"), "evaluation_examples is closed: quarantine: 1 of 4 .*exam.md line 3: "),
        ("HLXL: 7\n", "evaluation_examples is closed: quarantine .*exam.md: no entry has a sentence"),
        ("", "exam.md: is empty"),
    ],
)
def test_an_unusable_document_is_one_line_that_names_it(document: Path, text: str, said: str) -> None:
    document.write_text(text, encoding="utf-8")
    with pytest.raises((CorpusError, GateClosed), match=said) as error:
        read_evaluation([document])
    assert "\n" not in str(error.value)


def test_the_default_document_is_for_models_that_learned_composed_entries(
    document: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert documents_for([], [COPY]) == []
    assert documents_for([], [COPY, COMPOSED]) == [DEFAULT]
    monkeypatch.setenv("HLX_EVAL", str(document))
    assert documents_for([], [COPY]) == documents_for([], [COMPOSED]) == [document]
    assert documents_for([DEFAULT], [COPY]) == [DEFAULT]


@pytest.mark.parametrize("other", ["number  SEVEN", "Number seven.", "number seven"])
def test_case_spaces_and_a_final_stop_make_no_other_sentence(other: str) -> None:
    assert folded(other) == folded("Number seven") != folded("Number seventy")


def test_a_question_is_new_unless_its_sentence_is_in_training(document: Path) -> None:
    number, count, name = read_evaluation([document]).questions
    novelty = novelty_in([pair("number seven.", value_sha256("7")), pair("Ada", value_sha256('"Ada"'))])
    assert [novelty(number), novelty(count), novelty(name)] == ["seen sentence", "unseen", "seen value"]


def test_any_right_value_counts_and_seen_sentences_are_apart(document: Path) -> None:
    answers = {
        "[HLXL] Number seven → ": "7", "[LC-T] Number seven → ": "8",
        "[HLXL] Count all items → ": '{1000: {@0: "aggregate", @1: &h_count, @2: &h_items}}',
        "[LC-R] Count all items → ": '🜊1000🜁0 "count"🜁1 ⟁items🜂',
        "[LC-B] Count all items → ": '[1000 | 0:"count" | 1:&items]',
        "[English] 7 → ": "Number seven",
    }  # fmt: skip
    read = read_evaluation([document])
    model = Writer(lambda prompt: answers.get(prompt, "nothing"))
    found = evaluate_documents(model, read, read.questions, [pair("Number seven", "")])
    assert (found.sentences, found.all_to_hlx.samples) == (3, 8)  # two new sentences in four formats
    assert found.all_to_hlx.exact_match == 2 / 8 and found.all_to_hlx.value_match == 3 / 8
    assert found.by_novelty["seen sentence"].exact_match == 1 / 4
    assert found.to_hlx[Format.HLXL].exact_match == 1 / 2
    assert found.by_section["Names"].exact_match == 0 and found.by_document["exam.md"].samples == 8
    assert all(not answer.exact for answer in found.wrong) and len(found.wrong) == 6
    assert found.chrf_to_english is not None and 0 < found.chrf_to_english < 100
