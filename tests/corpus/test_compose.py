"""What composing a corpus promises."""

import hashlib
import os
import subprocess
import sys
from importlib import import_module

import pytest

from hlx_model.corpus import Document, capacity, compose, examples_table, operation_of, parse_document
from hlx_model.corpus.grammar import OPERATIONS
from hlx_model.corpus.grammar.templates import fill
from hlx_model.language import Contract, Format, Value, render

PINNED = "2a58dbf9d3f6e26f07b8acb609cc24ea0e5604bc07800c5f6658d08ca2f1999c"


def holds_number(value: Value) -> bool:
    """A number anywhere in `value`; contract ids and field numbers are none."""
    if isinstance(value, Contract):
        return any(holds_number(field) for _, field in value.fields)
    if isinstance(value, list | dict):
        return any(map(holds_number, value.values() if isinstance(value, dict) else value))
    return type(value) in (int, float)


def test_the_same_seed_gives_the_text_that_it_always_gave() -> None:
    """A change of grammar, words or dealing makes another corpus: pin it anew, knowingly."""
    assert hashlib.sha256(compose(300, seed=0).encode()).hexdigest() == PINNED


def test_the_text_does_not_depend_on_the_hash_seed_of_the_process() -> None:
    program = "import hashlib; from hlx_model.corpus import compose; " + (
        "import sys; sys.stdout.write(hashlib.sha256(compose(300, seed=0).encode()).hexdigest())"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "7"}
    output = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, check=True)
    assert output.stdout.decode() == PINNED


def test_another_seed_gives_other_entries() -> None:
    assert compose(300, seed=0) != compose(300, seed=1)


def test_composed_documents_read_back_without_a_defect(composed_text: str, composed_document: Document) -> None:
    assert composed_text.count("\nEnglish: ") == len(composed_document.entries) == 5000
    assert composed_document.quarantined == ()
    assert composed_document.respelled == 0


@pytest.mark.parametrize("entries", [1, 2, 7, 299])
def test_exactly_the_number_of_entries_asked_for_is_given(entries: int) -> None:
    assert parse_document(compose(entries, seed=3), "composed.md").entries_read == entries


@pytest.mark.parametrize("entries", [0, -1, capacity() + 1])
def test_more_than_the_grammar_can_say_and_less_than_one_entry_are_refused(entries: int) -> None:
    with pytest.raises(ValueError, match=f"entries is {entries:,}; the grammar gives 1 to {capacity():,}"):
        compose(entries, seed=0)


def test_the_grammar_can_say_far_more_than_a_corpus_needs() -> None:
    assert capacity() > 1_000_000


def test_each_of_20_000_sentences_says_one_value_and_each_value_has_all_its_sentences() -> None:
    text = compose(20_000, seed=2)
    blocks = [block.split("\n") for block in text.split("\n\n") if block.startswith("English: ")]
    assert len({block[0] for block in blocks}) == 20_000
    sentences_of: dict[str, int] = {}
    for block in blocks:
        sentences_of[block[1]] = sentences_of.get(block[1], 0) + 1
    # All but the last value dealt, which may be cut to meet the number asked for.
    assert sorted(sentences_of.values())[1] >= 2
    assert max(sentences_of.values()) <= 4


def test_at_least_a_third_of_the_entries_hold_a_number(composed_document: Document) -> None:
    entries = composed_document.entries
    assert sum(holds_number(entry.value) for entry in entries) >= len(entries) / 3


def test_every_section_and_operation_is_in_a_corpus_of_5000(composed_document: Document) -> None:
    table = examples_table([composed_document])
    expected = set()
    for operation in OPERATIONS:
        value = fill(operation.template, {slot.name: slot.choices[0].value for slot in operation.slots})
        expected.add((operation.section, operation_of(value)))
    got = set(zip(table["section"].to_pylist(), table["operation"].to_pylist(), strict=True))
    assert got == expected


def test_no_section_is_neglected(composed_document: Document) -> None:
    sections = [entry.section for entry in composed_document.entries]
    for section in dict.fromkeys(operation.section for operation in OPERATIONS):
        assert sections.count(section) > 5000 / 10 / 2


def test_when_nothing_is_left_to_deal_every_value_was_dealt_once(monkeypatch: pytest.MonkeyPatch) -> None:
    few = tuple(operation for operation in OPERATIONS if len(operation.slots) <= 1)
    monkeypatch.setattr(import_module("hlx_model.corpus.compose"), "OPERATIONS", few)
    document = parse_document(compose(capacity(), seed=0), "composed.md")
    values = {render(entry.value, Format.HLXL) for entry in document.entries}
    assert len(values) == sum(slot.size for o in few for slot in o.slots) + sum(not o.slots for o in few)
    assert len(document.entries) == capacity()
