"""How answers are judged: to the letter, by value, and by whether they can be read at all."""

from typing import Any

import pytest

from hlx_model.language import Format
from hlx_model.quality.translation import Answer, score, sentences_by_value, translate
from tests.quality.models import Writer


def row(target: str, source: str, given: str, answer: str, value: str = "v") -> dict[str, Any]:
    return {
        "target": target, "source": source, "prompt": f"[{target}] {given} → ", "answer": answer, "value_sha256": value,
    }  # fmt: skip


HLXL = '{1000: {@0: "search", @1: &h_documents}}'
ENGLISH_ROWS = [
    row("English", "HLXL", HLXL, "Search for documents"),
    row("English", "HLXL", HLXL, "Find documents"),
    row("English", "HLXL", "5", "Five", "other"),
]


def answered(one: dict[str, Any], written: str) -> Answer:
    (answer,) = translate(Writer(lambda prompt: written), [one], sentences_by_value(ENGLISH_ROWS))
    assert (answer.prompt, answer.expected, answer.written) == (one["prompt"], one["answer"], written)
    return answer


@pytest.mark.parametrize(
    ("target", "expected", "written", "exact", "same_value", "parses"),
    [
        ("HLXL", HLXL, HLXL, True, True, True),
        ("HLXL", HLXL, HLXL.replace(": ", ":"), False, True, True),  # spelled otherwise
        ("HLXL", HLXL, HLXL.replace("documents", "files"), False, False, True),  # another value
        ("HLXL", HLXL, HLXL[:-1], False, False, False),
        ("HLXL", HLXL, "", False, False, False),
        ("LC-B", "[0x2a]", "[42]", False, True, True),
        ("LC-B", "[0x2a]", "[0x2b]", False, False, True),
        ("LC-T", "TRUE", "true", False, False, False),  # of another format
        ("LC-R", "1.0", "1", False, False, True),  # of another type
    ],
)
def test_an_answer_in_hlx_is_judged_by_the_parser(
    target: str, expected: str, written: str, exact: bool, same_value: bool, parses: bool
) -> None:
    answer = answered(row(target, "English", "Search", expected), written)
    assert (answer.exact, answer.same_value, answer.parses) == (exact, same_value, parses)


@pytest.mark.parametrize(
    ("written", "exact"),
    [("Search for documents", True), ("Find documents", True), ("Five", False), ("Search for document", False)],
)
def test_into_english_every_sentence_of_the_value_is_right(written: str, exact: bool) -> None:
    answer = answered(ENGLISH_ROWS[0], written)
    assert (answer.exact, answer.same_value, answer.parses) == (exact, exact, True)


def test_answers_come_in_the_order_of_their_rows_and_are_counted() -> None:
    rows = [
        row(format, "English", "x" * 3 * i, "42" if format != "LC-B" else "[0x2a]") for i, format in enumerate(Format)
    ]
    answers = translate(Writer(lambda prompt: "42" if "LC-B" not in prompt else "[42]"), rows, {})
    assert [answer.target for answer in answers] == list(Format)
    assert [answer.exact for answer in answers] == [True, True, True, False]
    counted = score(answers)
    assert (counted.samples, counted.exact, counted.same_value, counted.parses) == (4, 3, 4, 4)
    assert translate(Writer(str), [], {}) == []


def test_an_answer_may_be_half_as_long_again_as_the_longest_expected_and_is_cut_there() -> None:
    answer = answered(row("HLXL", "English", "x", '"abcdef"'), '"abcdefghijkl"')
    assert answer.parses
    (cut,) = translate(Writer(lambda prompt: '"' + "a" * 300), [row("HLXL", "English", "x", '"abcdef"')], {})
    assert len(cut.written) == 20
