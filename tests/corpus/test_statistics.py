"""What the statistics of a corpus promise."""

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from statistics import mean
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hlx_model.composer.sampling import compose_lines
from hlx_model.corpus.statistics import statistics
from hlx_model.language import Contract, Format, Value, parse, render
from hlx_model.reporting.pages import statistics_markdown
from tests.support.strategies import values

COLUMNS = ("section", "operation", "english", *map(str, Format), "rendered", "value_sha256", "split")


def row(value: Value, english: str | None = None, **others: Any) -> dict[str, Any]:
    """A row of examples as the corpus makes it; `others` replace what is of no matter here."""
    texts = {str(form): render(value, form) for form in Format}
    about = {"section": "Any", "operation": "any", "rendered": "", "value_sha256": texts["HLXL"], "split": "train"}
    return {"english": english, **texts, **about, **others}


def table(rows: Sequence[dict[str, Any]], chunks: int = 1) -> pa.Table:
    schema = pa.schema([(name, pa.string()) for name in COLUMNS])
    size = -(-len(rows) // chunks)
    return pa.concat_tables(
        pa.Table.from_pylist(list(rows[start : start + size]), schema=schema) for start in range(0, len(rows), size)
    )


def inner(value: Value) -> list[Value]:
    if isinstance(value, Contract):
        return [field for _, field in value.fields]
    if isinstance(value, list | dict):
        return list(value.values() if isinstance(value, dict) else value)
    return []


def depth(value: Value) -> int:
    around = isinstance(value, Contract | list | dict)
    return around + max(map(depth, inner(value)), default=0)


def parts(value: Value) -> Iterator[Value]:
    yield value
    for each in inner(value):
        yield from parts(each)


def holds(value: Value, what: str) -> bool:
    numbers = [part for part in parts(value) if type(part) in (int, float)]
    strings = [part for part in parts(value) if isinstance(part, str)]
    if what == "negative":
        return any(repr(number).startswith("-") for number in numbers)
    if what == "floating":
        return any(isinstance(number, float) for number in numbers)
    marks = '[]{}|,:@&#=∅⊤⊥⟁⊠🜊🜁🜂🜃🜄◇◆→"\\'
    return any(mark in text or "\\" in render(text, Format.HLXL) for text in strings for mark in marks)


@pytest.fixture(scope="module")
def composed() -> list[dict[str, Any]]:
    """3,000 composed entries, a tenth of the values held out."""
    rows = []
    for block in "".join(compose_lines(3000, seed=6)).split("\n\n"):
        if block.startswith("## "):
            section = block[3:].strip()
        if block.startswith("English: "):
            english, hlxl = (line.split(": ", 1)[1] for line in block.split("\n")[:2])
            split = {0: "validation", 1: "test"}.get(sum(map(ord, hlxl)) % 20, "train")
            operation = hlxl.split('"')[1] if '@0: "' in hlxl else "value"
            rows.append(row(parse(hlxl, Format.HLXL), english, section=section, operation=operation, split=split))
    return rows


def test_everything_is_counted_as_one_counts_by_hand(composed: list[dict[str, Any]]) -> None:
    got = statistics(table(composed, chunks=3))
    assert (got.entries, got.sentences, got.values) == (3000, 3000, len({row["HLXL"] for row in composed}))
    splits = ("train", "validation", "test")
    assert got.entries_by_split == {s: sum(row["split"] == s for row in composed) for s in splits}
    assert got.values_by_split == {s: len({row["HLXL"] for row in composed if row["split"] == s}) for s in splits}
    for column, counted in (("section", got.sections), ("operation", got.operations)):
        pairs = Counter((row[column], row["split"]) for row in composed)
        assert {(name, s): n for name, counts in counted.items() for s, n in counts.items() if n} == pairs
    parsed = [(parse(row["HLXL"], Format.HLXL), row["split"]) for row in composed]
    depths = Counter((depth(value), split) for value, split in parsed)
    assert {(name, s): n for name, counts in got.depths.items() for s, n in counts.items() if n} == depths
    for what, count in (("negative", got.negative), ("floating", got.floating), ("awkward", got.awkward)):
        assert count == sum(holds(value, what) for value, _ in parsed) > 0
    assert got.phrasings == dict(sorted(Counter(Counter(row["HLXL"] for row in composed).values()).items()))


def test_sections_keep_their_order_and_operations_come_by_frequency(
    composed: list[dict[str, Any]],
) -> None:
    got = statistics(table(composed))
    assert list(got.sections) == list(dict.fromkeys(row["section"] for row in composed))
    counts = [sum(counts.values()) for counts in got.operations.values()]
    assert counts == sorted(counts, reverse=True)


@given(st.lists(values(), min_size=1, max_size=5))
def test_depth_and_contents_are_exact_for_everything_that_hlx_can_hold(given_values: list[Value]) -> None:
    got = statistics(table([row(value) for value in given_values]))
    assert {deep: counts["train"] for deep, counts in got.depths.items()} == Counter(map(depth, given_values))
    for what in ("negative", "floating", "awkward"):
        assert getattr(got, what) == sum(holds(value, what) for value in given_values)


@given(st.lists(st.integers(0, 30), min_size=1, max_size=40))
def test_lengths_are_those_of_the_sorted_texts(lengths: list[int]) -> None:
    got = statistics(table([row(None, "é" * length) for length in lengths])).sentence_lengths
    ranked = sorted(lengths)
    assert got is not None
    assert (got.shortest, got.longest) == (ranked[0], ranked[-1])
    assert got.median == ranked[(len(ranked) - 1) // 2]
    assert sum(length <= got.ninety_percent for length in lengths) >= 0.9 * len(lengths)
    assert sum(length < got.ninety_percent for length in lengths) < 0.9 * len(lengths)
    assert got.mean == pytest.approx(mean(lengths))


@pytest.mark.parametrize(
    ("sentence", "digits", "spelled"),
    [
        ("Wait 5 seconds", 1, 0),
        ("Append -5 to users", 1, 0),
        ("Wait for forty-two seconds", 0, 1),
        ("Seven of 9", 1, 1),
        ("Convert users to base64", 0, 0),
        ("Send someone the tents", 0, 0),
    ],
)
def test_a_number_is_one_in_digits_or_in_words(sentence: str, digits: int, spelled: int) -> None:
    got = statistics(table([row(None, sentence)]))
    assert (got.digits, got.spelled, got.number) == (digits, spelled, max(digits, spelled))


def test_entries_without_a_sentence_count_as_entries_alone() -> None:
    got = statistics(table([row(1, None), row(1, "Number one"), row(2, None)]))
    assert (got.entries, got.sentences, got.values) == (3, 1, 2)
    assert got.phrasings == {0: 1, 1: 1}
    assert got.sentence_lengths is not None and got.sentence_lengths.longest == len("Number one")


def test_a_corpus_of_nothing_has_a_page_too() -> None:
    got = statistics(table([row(None)]).slice(0, 0))
    assert (got.entries, got.values, got.sentence_lengths, got.hlxl_lengths) == (0, 0, None, None)
    assert "0 entries" in statistics_markdown(got)


def test_rendered_formats_are_counted() -> None:
    got = statistics(table([row(0), row(1, rendered="LC-T, LC-B"), row(2, rendered="LC-B")]))
    assert got.rendered == {"HLXL": 0, "LC-R": 0, "LC-T": 1, "LC-B": 2}
    assert "| LC-B | 2 |" in statistics_markdown(got)


def test_json_keeps_every_figure(composed: list[dict[str, Any]]) -> None:
    figures = statistics(table(composed)).to_json()
    assert json.loads(json.dumps(figures)) == figures
    assert figures["entries"] == 3000 and "1" in figures["depths"]


def test_the_page_says_how_held_out_was_chosen_and_what_has_none(composed: list[dict[str, Any]]) -> None:
    rows = [*composed, row(7, "The only seven", section="Alone", operation="single")]
    got = statistics(table(rows))
    page = statistics_markdown(got)
    held = got.values_by_split["validation"] + got.values_by_split["test"]
    assert f"{held:,} of {got.values:,} values" in page
    assert "SHA-256" in page and "take turns" in page
    assert "of 1 of 12 sections (Alone)" in page
    assert re.search(r"None is held out .*of \d+ of \d+ operations \(", page)


def test_the_page_shows_forty_operations_and_sums_the_rest() -> None:
    rows = [row(n, operation=f"operation{n}") for n in range(50)]
    page = statistics_markdown(statistics(table(rows)))
    assert page.count("| operation") == 1 + 40
    assert "| 10 others | 10 | 10 | 0 | 0 |" in page


def test_a_name_that_a_user_chose_cannot_break_a_table() -> None:
    page = statistics_markdown(statistics(table([row(1, section="a|b", operation="x\ny" + "z" * 300)])))
    assert "| a\\|b | 1 |" in page
    assert f"| x y{'z' * 57}… | 1 |" in page
