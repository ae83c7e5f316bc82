"""A document as people write it, `tests/support/handwritten.md`: shapes mixed, prose between entries, four mistakes."""

import pytest

from hlx_model.corpus import Document, Split, assign_splits, collect, examples_table, read_document, rules
from hlx_model.evaluation.detectors import diagnose
from hlx_model.language import Contract, Format, Handle, parse
from tests.support.documents import HANDWRITTEN, value_of


@pytest.fixture(scope="module")
def handwritten() -> Document:
    return read_document(HANDWRITTEN)


def test_each_sentence_gets_its_own_value(handwritten: Document) -> None:
    said = {entry.english: value_of(entry) for entry in collect([handwritten]).entries}
    lend = {
        f"Lend the {thing} to {person.title()}": Contract(1000, ((0, "lend"), (1, what), (2, Handle(person))))
        for thing, what in (
            ("book Emma", "Emma"), ("book Walden", "Walden"), ("saw", Handle("saw")), ("ladder", Handle("ladder")),
        )
        for person in ("ruth", "paul")
    }  # fmt: skip
    rooms = {
        f"Book the {room} for {hours} hours": Contract(1000, ((0, "book"), (1, room), (2, hours)))
        for room in ("hall", "kitchen")
        for hours in (2, 3)
    }
    returned = {
        f"Return the {thing}": Contract(1000, ((0, "return"), (1, what)))
        for thing, what in (
            ("book Emma", "Emma"), ("book Walden", "Walden"), ("saw", Handle("saw")), ("ladder", Handle("ladder")),
        )
    }  # fmt: skip
    late = {
        f"List all late {things}": Contract(1000, ((0, "list"), (1, Handle(things)), (2, "late")))
        for things in ("books", "tools")
    }
    money = {
        "The fee is 1.5": 1.5,
        "The fee is 2.5": 2.5,
        "Nobody owes anything": [],
        "Ruth owes 1.5 and Paul owes 2.5": {"ruth": 1.5, "paul": 2.5},
        "Paul owes 1.5 and Ruth owes 2.5": {"paul": 1.5, "ruth": 2.5},
    }
    assert said == lend | rooms | returned | late | money


def test_the_mistakes_are_quarantined_each_by_its_rule(handwritten: Document) -> None:
    corpus = collect([handwritten])
    assert [(row.english, row.rule) for row in corpus.quarantined] == [
        ("Close the library", rules.SENTENCE_ONCE),
        ("Close the library", rules.SENTENCE_ONCE),
        ("Lend the book Émile to Ruth", rules.IN_VOCABULARY),
        ("Lock the door", rules.HAS_HLX),
    ]


def test_lines_and_sections_are_those_of_the_file(handwritten: Document) -> None:
    lines = HANDWRITTEN.read_text(encoding="utf-8").split("\n")
    for entry in handwritten.entries:
        assert entry.english is not None and entry.english in lines[entry.line - 1]
    assert list(dict.fromkeys(entry.section for entry in handwritten.entries)) == [
        "Books", "Tools", "Rooms", "Money", "Mistakes",
    ]  # fmt: skip


def test_what_is_held_out_is_made_of_words_that_stay(handwritten: Document) -> None:
    entries = collect([handwritten]).entries
    splits = assign_splits(entries)
    held = {split for split in splits if split is not Split.TRAIN}
    assert held == {Split.VALIDATION, Split.TEST}
    words = {
        word
        for entry, split in zip(entries, splits, strict=True)
        if split is Split.TRAIN
        for word in (entry.english or "").split()
    }
    for entry, split in zip(entries, splits, strict=True):
        assert split is Split.TRAIN or set((entry.english or "").split()) <= words


def test_no_detector_flags_a_line_or_a_sentence(handwritten: Document) -> None:
    for row in examples_table(collect([handwritten])).to_pylist():
        texts = [row["english"], *(row[format] for format in Format)]
        assert [text for text in texts if diagnose("", text) is not None] == []
        assert len({repr(parse(row[format], format)) for format in Format}) == 1
