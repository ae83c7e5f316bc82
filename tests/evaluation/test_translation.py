"""How answers are compared with the expected ones: to the letter, by value, and by whether they parse."""

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hlx_model.evaluation.intervals import wilson
from hlx_model.evaluation.rows import Rows
from hlx_model.evaluation.translation import (
    PairRow,
    conversions,
    difference,
    distance,
    rates,
    rates_by_direction,
    rates_by_length,
    rates_by_operation,
    sentences_by_value,
    translate,
    worst_answers,
)
from hlx_model.language import Format
from hlx_model.reporting.models import Translation
from tests.support.models import Writer


def row(target: str, source: str, text: str, answer: str, value: str = "v", operation: str = "") -> PairRow:
    return PairRow(target, source, f"[{target}] {text} → ", answer, value, operation)


def stored(rows: list[PairRow]) -> Rows[PairRow]:
    return Rows(pa.Table.from_pylist([one._asdict() for one in rows]), PairRow)


HLXL = '{1000: {@0: "search", @1: &h_documents}}'
ENGLISH_ROWS = [
    row("English", "HLXL", HLXL, "Search for documents"),
    row("English", "HLXL", HLXL, "Find documents"),
    row("English", "HLXL", "5", "Five", "other"),
]


def answered(one: PairRow, written: str) -> Translation:
    (answer,) = translate(Writer(lambda prompt: written), [one], sentences_by_value(ENGLISH_ROWS))
    assert (answer.prompt, answer.expected, answer.written) == (one.prompt, one.answer, written)
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
def test_the_parser_compares_an_answer_in_hlx(
    target: str, expected: str, written: str, exact: bool, same_value: bool, parses: bool
) -> None:
    answer = answered(row(target, "English", "Search", expected), written)
    assert (answer.exact, answer.same_value, answer.parses) == (exact, same_value, parses)


@pytest.mark.parametrize(
    ("written", "exact"),
    [
        ("Search for documents", True),
        ("Find documents", True),
        ("Look up all the documents", True),  # no sentence of the corpus, but of the composer's grammar
        ("look up documents.", True),
        ("Look up all the files", False),
        ("Documents look up", False),
        ("Five", False),
        ("Search for document", False),
    ],
)
def test_into_english_what_a_document_or_the_grammar_says_is_right(written: str, exact: bool) -> None:
    answer = answered(ENGLISH_ROWS[0], written)
    assert (answer.exact, answer.same_value, answer.parses) == (exact, exact, True)


def test_answers_are_counted_in_the_order_of_their_rows() -> None:
    rows = [
        row(format, "English", "x" * 3 * i, "42" if format != "LC-B" else "[0x2a]") for i, format in enumerate(Format)
    ]
    answers = translate(Writer(lambda prompt: "42" if "LC-B" not in prompt else "[42]"), rows, {})
    assert [answer.target for answer in answers] == list(Format)
    assert [answer.exact for answer in answers] == [True, True, True, False]
    found = rates(answers)
    assert (found.samples, found.exact_match, found.value_match, found.parse_rate) == (4, 0.75, 1, 1)
    assert translate(Writer(str), [], {}) == []


def test_an_answer_is_cut_at_one_and_a_half_times_the_expected_length() -> None:
    answer = answered(row("HLXL", "English", "x", '"abcdef"'), '"abcdefghijkl"')
    assert answer.parses
    (cut,) = translate(Writer(lambda prompt: '"' + "a" * 300), [row("HLXL", "English", "x", '"abcdef"')], {})
    assert len(cut.written) == 20


def test_the_cut_follows_from_rows_of_similar_length() -> None:
    rows = [row("HLXL", "English", "short", "1"), row("HLXL", "English", "long", f'"{"b" * 98}"')]
    answers = translate(Writer(lambda prompt: "a" * 300), rows, {})
    assert [len(answer.written) for answer in answers] == [1 * 3 // 2 + 8, 100 * 3 // 2 + 8]
    (sentence,) = translate(
        Writer(lambda prompt: "Find all of the documents"),
        [row("English", "HLXL", "5", "Find")],
        {"v": {"Find", "Find all of the documents"}},
    )
    assert sentence.exact


def test_a_value_is_converted_from_its_last_row_into_a_format() -> None:
    rows = [
        row("HLXL", "English", "One", "1", "a"), row("LC-R", "English", "Two", "2", "b"),
        row("HLXL", "English", "The two", "2", "b"), row("HLXL", "English", "The one", "01", "a"),
        row("LC-R", "English", "One", "🜊1", "a"),
    ]  # fmt: skip
    pairs = conversions(stored(rows))
    assert [(found.value_sha256, found.prompt) for found in pairs["HLXL", "LC-R"]] == [
        ("a", "[LC-R] 01 → "), ("b", "[LC-R] 2 → ")]  # fmt: skip
    assert len(pairs["HLXL", "LC-T"]) == len(conversions(stored([rows[1]]))["LC-R", "HLXL"]) == 0


def test_every_value_is_converted_in_all_twelve_pairs_of_formats() -> None:
    texts = {"HLXL": "[42]", "LC-R": "🜃42🜄", "LC-T": "[42]", "LC-B": "[0x2a]"}
    rows = [row(target, "English", "The list of 42", text, operation="array") for target, text in texts.items()]
    pairs = conversions(stored([*rows, row("English", "HLXL", "[42]", "The list of 42")]))
    assert set(pairs) == {(source, target) for source in texts for target in texts if source != target}
    for (source, target), (found,) in pairs.items():
        assert found.prompt == f"[{target}] {texts[source]} → " and found.answer == texts[target]
        assert (found.source, found.target, found.operation) == (source, target, "array")
    flat = [found for (found,) in pairs.values()]
    right = {found.prompt: found.answer for found in flat}
    by_direction = rates_by_direction(translate(Writer(right.__getitem__), flat, {}))
    for source, target in pairs:
        assert (by_direction[source, target].samples, by_direction[source, target].exact_match) == (1, 1)


def answer_of(target: str, expected: str, written: str) -> Translation:
    (answer,) = translate(Writer(lambda prompt: written), [row(target, "English", "x", expected)], {})
    return answer


def test_rates_have_their_wilson_intervals() -> None:
    answers = [answer_of("LC-B", "[0x2a]", written) for written in ("[0x2a]", "[42]", "[0x2b]", "[")]
    found = rates(answers)
    assert (found.samples, found.exact_match, found.value_match, found.parse_rate) == (4, 0.25, 0.5, 0.75)
    intervals = (found.exact_match_interval, found.value_match_interval, found.parse_rate_interval)
    assert intervals == (wilson(1, 4), wilson(2, 4), wilson(3, 4))
    assert rates([]).exact_match_interval == (0, 1)


def test_operations_come_by_how_often_they_occur() -> None:
    rows = [row("HLXL", "English", "x", "1", operation=name) for name in ("few", "often", "often")]
    answers = translate(Writer(lambda prompt: "1"), rows, {})
    assert [(name, found.samples) for name, found in rates_by_operation(rows, answers).items()] == [
        ("often", 2),
        ("few", 1),
    ]


def test_lengths_are_those_of_the_expected_answers() -> None:
    answers = [answer_of("HLXL", f'"{"a" * (length - 2)}"', "1") for length in (2, 16, 17, 32, 33, 128, 129)]
    samples = {name: found.samples for name, found in rates_by_length(answers).items()}
    assert samples == {"1–16": 2, "17–32": 2, "33–64": 1, "65–128": 1, "129–": 1}


@given(st.text(max_size=30), st.text(max_size=30))
def test_a_difference_contains_both_texts(expected: str, written: str) -> None:
    pieces = difference(expected, written)
    assert "".join(text for kind, text in pieces if kind != "insert") == expected
    assert "".join(text for kind, text in pieces if kind != "delete") == written
    assert all(text for _, text in pieces)
    assert 0 <= distance(pieces) <= 1
    assert (distance(pieces) == 0) == (expected == written)


def test_the_worst_answers_are_the_farthest_of_another_value() -> None:
    near, far = answer_of("HLXL", "[1, 2]", "[1, 3]"), answer_of("HLXL", "[1, 2]", "null")
    right, respelled = answer_of("HLXL", "[1, 2]", "[1, 2]"), answer_of("LC-B", "[0x2a]", "[42]")
    worst = worst_answers([near, right, respelled, far])
    assert [answer.written for answer in worst] == ["null", "[1, 3]"]
    assert worst[0].distance == 1
    assert worst[1].diff == [("equal", "[1, "), ("delete", "2"), ("insert", "3"), ("equal", "]")]
    assert worst[1].distance == pytest.approx(2 / 12)
    assert len(worst_answers([far] * 11)) == 10
