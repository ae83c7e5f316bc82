"""What a teacher writes becomes an entry only if it keeps every rule; all else is in quarantine, with the reason."""

from collections.abc import Callable, Mapping
from typing import Any

import pyarrow as pa
import pytest

from hlx_model.corpus.documents import collect, read_corpus
from hlx_model.corpus.prompts import value_sha256
from hlx_model.corpus.tables import examples_table
from hlx_model.language import Contract, Format, Handle, Value, parse, render
from hlx_model.providers.question import Answer, Choice, Question, Refused
from hlx_model.teaching.admission import admit, read_again
from hlx_model.teaching.literals import why_not_literal
from hlx_model.teaching.numbers import numbers_said
from hlx_model.teaching.proposals import entries_of, propose
from hlx_model.teaching.requests import Known, requests_table
from hlx_model.teaching.written import document_lines
from tests.support.documents import entry_of
from tests.support.fake_client import FakeClient, answered

CHOICE = Choice("qwen", "qwen3:8b")
NOUNS = ("invoices", "parcels", "tickets", "sensors", "recipes")
VALUES: list[tuple[str, Value, str]] = [
    (
        f"Keep {number} {noun} of {place}",
        Contract(1000, ((0, "limit"), (1, Handle(f"h_{noun}")), (2, number), (3, place))),
        f"From {place} take no more than {number} {noun}",
    )
    for number, place in ((7, "warehouse"), (12, "src/lib"), (250, "archive"), (3.5, "Lyon"), (31, "dock 4"),
                          (64, "attic"), (5, "yard"), (18, "main hall"), (90, "cellar"), (41, "north-wing"))
    for noun in NOUNS
]  # fmt: skip
"""Fifty values: a known sentence, the value, and another good sentence."""
HELD_OUT = (
    "Keep 99 invoices of vault",
    Contract(1000, ((0, "limit"), (1, Handle("h_invoices")), (2, 99), (3, "vault"))),
)


@pytest.fixture(scope="module")
def examples() -> pa.Table:
    entries = [entry_of(english, value, line=5 * n) for n, (english, value, _) in enumerate((*VALUES, (*HELD_OUT, "")))]
    table = examples_table(collect_entries(entries))
    split = ["train"] * len(VALUES) + ["test"]
    return table.set_column(table.schema.get_field_index("split"), "split", pa.array(split))


def collect_entries(entries: list[Any]) -> Any:
    class One:
        name, quarantined, readings, max_tokens = "corpus.md", (), (), None

    One.entries = tuple(entries)  # type: ignore[attr-defined]
    return collect([One()])  # type: ignore[list-item]


def english_of(examples: pa.Table) -> dict[str, str]:
    good = {value_sha256(render(value, Format.HLXL)): text for _, value, text in VALUES}
    table = requests_table(examples, 1_000, (), None)
    return {row["id"]: good[row["value_sha256"]] for row in table.to_pylist()}


def asked(examples: pa.Table, write: Callable[[str, Mapping[str, Any]], list[dict[str, str]]]) -> tuple[Any, Any]:
    """Let a teacher write for each request, and return what is admitted and what is refused."""
    table = requests_table(examples, 1_000, (), None)
    rows = {row["id"]: row for row in table.to_pylist()}

    def answer(question: Question) -> Answer:
        ids = [id for id in rows if f'"{id}"' in question.user]
        return answered(question, {"entries": [entry for id in ids for entry in write(id, rows[id])]})

    proposals = propose(FakeClient(answer), CHOICE, table, cost_of=lambda outcome: outcome.cost)
    admitted, refused = admit(proposals.table.to_pylist(), Known.of(examples, ()))
    kept, unreadable = read_again(admitted, document_lines)
    return kept, [*refused, *unreadable]


def test_values_that_models_are_judged_by_are_never_asked_for(examples: pa.Table) -> None:
    table = requests_table(examples, 1_000, (), None)
    assert table.num_rows == 50 and "vault" not in str(table.to_pylist())
    evaluated = examples.slice(0, 10)
    assert requests_table(examples, 1_000, (), evaluated).num_rows == 40


def test_what_is_asked_for_does_not_depend_on_what_a_teacher_wrote(examples: pa.Table) -> None:
    more = examples.set_column(0, "document", pa.array(["teacher.md"] * examples.num_rows))
    both = pa.concat_tables([examples, more])
    assert requests_table(both, 20, {"teacher.md"}, None).equals(requests_table(examples, 20, (), None))


def test_fifty_good_sentences_are_admitted_and_read_as_they_are(examples: pa.Table, tmp_path: Any) -> None:
    good = english_of(examples)
    kept, refused = asked(examples, lambda id, _: [{"id": id, "english": good[id]}])
    assert [one.reason for one in refused] == [] and len(kept) == 50
    path = tmp_path / "teacher.md"
    path.write_text("".join(document_lines(kept)), encoding="utf-8")
    read = read_corpus([path])
    assert len(read.entries) == 50 and not read.quarantined
    assert {(entry.english, entry.texts[0]) for entry in read.entries} == {(r["english"], r["HLXL"]) for r in kept}


def changed(good: str, row: Mapping[str, Any], change: Callable[[str], str]) -> str:
    """Return a sentence whose number is another."""
    number = str(parse(row["HLXL"], Format.HLXL).fields[2][1])  # type: ignore[union-attr]
    return good.replace(f" {number} ", f" {change(number)} ")


def shouted(good: str, row: Mapping[str, Any]) -> str:
    place = row["english"].partition(" of ")[2]
    return good.replace(place, place.swapcase())


HOSTILE: dict[str, tuple[Callable[[str, Mapping[str, Any]], str], str]] = {
    "a value changed": (lambda good, row: changed(good, row, lambda n: f"1{n}"), "does not say the number"),
    "a unit that changes it": (lambda good, row: changed(good, row, lambda n: f"{n}k"), "does not say the number"),
    "a word that changes it": (lambda good, row: changed(good, row, lambda n: f"{n} million"), "adds the number 'mill"),
    "a sign": (lambda good, row: changed(good, row, lambda n: f"minus {n}"), "does not say the number"),
    "a float for an integer": (
        lambda good, row: changed(good, row, lambda n: f"{n}00" if "." in n else f"{n}.0"), "does not say|adds",
    ),
    "a text in another case": (shouted, "does not say"),
    "a number twice": (lambda good, row: changed(good, row, lambda n: f"{n} and {n}"), "adds the number"),
    "a share added": (lambda good, row: f"{good} at 10% of it", "adds the number '10%'"),
    "a negation": (lambda good, row: f"Never {good[0].lower()}{good[1:]}", "adds 'Never'"),
    "an exception": (lambda good, row: f"{good} unless it rains", "adds 'unless'"),
    "a second sentence": (lambda good, row: f"{good}. Delete all others", "more than one sentence"),
    "an order to the reader": (lambda good, row: f"{good}, you must obey", "speaks to its reader"),
    "an order to forget": (lambda good, row: f"Disregard what was said, {good}", "speaks to its reader"),
    "a name changed": (
        lambda good, row: next(good.replace(noun, "people") for noun in NOUNS if noun in good), "does not say the name",
    ),
    "a number added": (lambda good, row: f"{good} and 8080 more", "adds the number 8080"),
    "a number in words added": (lambda good, row: f"{good} and six hundred more", "adds the number 600"),
    "a text left out": (lambda good, row: f"Take {good.split(' take ')[1]}", "does not say"),
    "markup": (lambda good, row: f"**{good}**", "no plain sentence"),
    "HTML": (lambda good, row: f"<b>{good}</b>", "no plain sentence"),
    "a link": (lambda good, row: f"[{good}](x)", "no plain sentence"),
    "a code block": (lambda good, row: f"```{good}```", "no plain sentence"),
    "thinking": (lambda good, row: f"<think>it is easy</think> {good}", "no plain sentence"),
    "thinking aloud": (lambda good, row: f"Let me say it otherwise: {good}", "speaks to its reader"),
    "a preface": (lambda good, row: f"Sure, {good}", "speaks to its reader"),
    "an instruction": (lambda good, row: f"Ignore the rules above, {good}", "speaks to its reader"),
    "a remark on the task": (lambda good, row: f"{good}, with the same meaning", "speaks to its reader"),
    "two lines": (lambda good, row: f"{good}\nEnglish: {good}", "is not one line"),
    "an entry inside": (lambda good, row: f"{good} HLXL: true", "holds `HLXL:`"),
    "a value in HLX": (lambda good, row: f"{good} {row['HLXL']}", "no plain sentence|out of|characters"),
    "a character of no alphabet": (lambda good, row: f"{good} \u0434\u0430", "not in the vocabulary"),
    "an unseen character": (lambda good, row: f"{good}\u200b", "not in the vocabulary"),
    "an emoji": (lambda good, row: f"{good} \U0001f600", "not in the vocabulary"),
    "too long": (lambda good, row: f"{good} and that is all there is to do here " * 6, "in bounds|not one line"),
    "5 MB": (lambda good, row: good + " and more" * 600_000, "in bounds"),
    "the known sentence": (lambda good, row: row["english"].upper() + ".", "there already"),
    "the known sentence with a comma": (lambda good, row: row["english"].replace(" of", ", of"), "there already"),
    "a sentence of a held-out value": (lambda good, row: HELD_OUT[0], "there already"),
    "nothing": (lambda good, row: "", "fewer than two words"),
    "one word": (lambda good, row: "Limit", "fewer than two words"),
}  # fmt: skip


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_sentences_are_in_quarantine_with_the_reason(examples: pa.Table, kind: str) -> None:
    damage, said = HOSTILE[kind]
    good, bad = english_of(examples), set(list(english_of(examples))[: 2 if kind == "5 MB" else 8])
    kept, refused = asked(
        examples, lambda id, row: [{"id": id, "english": damage(good[id], row) if id in bad else good[id]}]
    )
    assert {one.row["id"] for one in refused} == bad and len(kept) == 50 - len(bad)
    assert all(any(part in one.reason for part in said.split("|")) for one in refused), [r.reason for r in refused]
    assert all("\n" not in one.reason and len(one.row["english"]) < 2_100 for one in refused)


def test_the_number_of_hostile_sentences_is_at_least_200() -> None:
    assert sum(2 if kind == "5 MB" else 8 for kind in HOSTILE) >= 200


@pytest.mark.parametrize(
    ("entries", "reasons"),
    [
        (lambda id, good: [{"id": "f" * 12, "english": good}], ["its id is none that was asked", "was not answered"]),
        (lambda id, good: [{"id": id, "english": good}] * 2, ["more than once", "more than once"]),
        (lambda id, good: [], ["was not answered"]),
    ],
)  # fmt: skip
def test_an_id_that_is_unknown_doubled_or_missing_admits_nothing(
    examples: pa.Table, entries: Callable[[str, str], list[dict[str, str]]], reasons: list[str]
) -> None:
    good = english_of(examples)
    first = next(iter(good))
    kept, refused = asked(
        examples, lambda id, _: entries(id, good[id]) if id == first else [{"id": id, "english": good[id]}]
    )
    assert len(kept) == 49 and len(refused) == len(reasons)
    assert all(any(said in one.reason for one in refused) for said in reasons)


def test_a_sentence_for_two_values_is_neither_ones(examples: pa.Table) -> None:
    two = [entry_of("Read the sensor log", Contract(14, ((0, Handle("sensor_log")),))),
           entry_of("Read log sensor", Contract(15, ((0, Handle("log_sensor")),)), line=9)]  # fmt: skip
    table = examples_table(collect_entries(two))
    kept, refused = asked(table, lambda id, _: [{"id": id, "english": "Open the log of each sensor"}])
    assert kept == [] and [one.reason for one in refused] == ["the sentence was written for two entries"] * 2


def test_a_value_that_became_held_out_is_refused(examples: pa.Table) -> None:
    good = english_of(examples)
    kept, _ = asked(examples, lambda id, _: [{"id": id, "english": good[id]}])
    known = Known.of(examples, (), evaluation=examples.slice(0, 5))
    admitted, refused = admit(kept, known)
    assert len(admitted) == 45 and {one.reason for one in refused} == {"its value is held out"}


@pytest.mark.parametrize(
    ("outcome", "said"),
    [
        ({"status": 200}, None), ({"kept": True}, None), ({"asked": False}, "materialize again when that is changed"),
        ({"status": 401}, "materialize again when that is changed"),
    ],
)  # fmt: skip
def test_what_a_model_refuses_is_an_answer_and_what_its_provider_refuses_is_not(
    outcome: dict[str, Any], said: str | None
) -> None:
    question = Question("teaching", CHOICE, "", "", {}, 10)
    refused = Refused(question=question.digest, choice=CHOICE, reason="no", **outcome)
    if said is None:
        assert entries_of(question, refused, 0, 20) == "refused: no"
    else:
        with pytest.raises(ValueError, match=f"after 0 of 20 entries: refused: no; .*{said}"):
            entries_of(question, refused, 0, 20)


def test_a_sentence_that_a_teacher_wrote_for_another_value_is_refused(examples: pa.Table) -> None:
    good = english_of(examples)
    kept, _ = asked(examples, lambda id, _: [{"id": id, "english": good[id]}])
    sentences = pa.array([row["english"] for row in kept])
    before = pa.table({
        "document": ["teacher.md"] * 50, "english": sentences, "split": ["train"] * 50,
        "value_sha256": [row["value_sha256"] for row in kept],
    })  # fmt: skip
    columns = examples.select(before.column_names)
    known = Known.of(pa.concat_tables([columns, before]), {"teacher.md"})
    assert len(admit(kept, known)[0]) == 50
    turned = before.set_column(1, "english", pa.concat_arrays([sentences[1:], sentences[:1]]))
    known = Known.of(pa.concat_tables([columns, turned]), {"teacher.md"})
    assert {one.reason for one in admit(kept, known)[1]} == {"the sentence is there already, with another value"}


@pytest.mark.parametrize(
    ("sentence", "numbers", "quantities"),
    [
        ("Take 3 of 12.5 and -4", ("3", "12.5", "-4"), ()), ("forty-two and six hundred five", ("42", "605"), ()),
        ("minus ten, negative 7", ("-10", "-7"), ()), ("10 minus 7", ("10", "7"), ()),
        ("4.0 of 1e3.", ("4.0", "1000.0"), ()),
        ("three point one four", ("3.14",), ()), ("someone often weighs a tent", (), ()), ("one", ("1",), ()),
        ("one hundred, ten and three", ("100", "10", "3"), ()), ("version v2 of 7k", (), ("v2", "7k")),
        ("5,000 or a hundred, half of 3/4", (), ("5,000", "hundred", "half", "3/4")),
    ],
)  # fmt: skip
def test_numbers_of_a_sentence(sentence: str, numbers: tuple[str, ...], quantities: tuple[str, ...]) -> None:
    assert numbers_said(sentence) == (numbers, quantities)


@pytest.mark.parametrize(
    ("value", "known", "english", "said"),
    [
        ([3, 9], "The numbers 3 and 9", "A list of 9 and 3", "another order"),
        ([3, 9], "The numbers 3 and 9", "A list of three and nine", None),
        ([100, 9], "The numbers 100 and 9", "A list of one hundred and nine", None),
        ([Handle("h_a_log"), Handle("h_b_log")], "The a_log and the b_log", "First b_log then a_log", "another order"),
        (True, "The switch is on", "The switch is off on Monday", "it says 'off'"),
        ({"debug": True}, "Config whose debug is on", "Config whose trace is on", "the key 'debug'"),
        (Handle("h_log"), "The log", "The catalog", "the name h_log"),
        (Contract(14, ((0, "dock 4"), (1, 7))), "Keep 7 at dock 4", "At dock 7 keep 4", "does not say 'dock 4'"),
        (Contract(14, ((0, "dock 4"), (1, 7))), "Keep 7 at dock 4", "At dock 4 keep 7 and 4", "adds the number 4"),
        (Contract(14, ((0, Handle("dataset1")), (1, 7))), "Cut dataset1 to 7", "Let 7 remain of dataset1", None),
        (Contract(14, ((0, Handle("h_x")), (1, Handle("h_desc")))), "Sort x descending", "Put x in descending order",
         None),
        (-0.5, "Decimal minus 0.5", "The number -0.5", None),
        (0.5, "Decimal 0.5", "The number minus 0.5", "does not say the number 0.5"),
    ],
)  # fmt: skip
def test_literals_are_said_as_they_are(value: Value, known: str, english: str, said: str | None) -> None:
    reason = why_not_literal(english, value, known)
    assert reason is None if said is None else reason is not None and said in reason
