"""The promises of the grammar, for the whole table of operations."""

import re
from random import Random
from string import Formatter

import pytest

from hlx_model.composer.grammar import OPERATIONS
from hlx_model.composer.grammar.lexicon import Choice, Slot, spell
from hlx_model.composer.grammar.templates import MOST_PHRASINGS, Operation, fill
from hlx_model.language import Format, Handle, HLXSyntaxError, parse, render
from hlx_model.model.tokenizer import unknown_characters

SLOTS = {(slot.name, slot.choices): slot for operation in OPERATIONS for slot in operation.slots}


def drawn(operation: Operation, rng: Random) -> dict[str, Choice]:
    filling: dict[str, Choice] = {}
    for slot in operation.slots:
        taken = filling.get(slot.unlike)
        filling[slot.name] = rng.choice([choice for choice in slot.choices if choice is not taken])
    return filling


def hlxl(operation: Operation, filling: dict[str, Choice]) -> str:
    return render(fill(operation.template, {name: choice.value for name, choice in filling.items()}), Format.HLXL)


def pattern(operation: Operation, phrasing: str) -> re.Pattern[str]:
    """Matches every sentence of `phrasing`, each slot as a named group."""
    slots = {slot.name: slot for slot in operation.slots}
    parts = []
    for literal, name, spec, _ in Formatter().parse(phrasing):
        parts.append(re.escape(literal))
        if name:
            texts = sorted((format(choice, spec or "") for choice in slots[name].choices), key=len, reverse=True)
            parts.append(f"(?P<{name}>{'|'.join(map(re.escape, texts))})")
    return re.compile("".join(parts))


def value_shape(operation: Operation) -> re.Pattern[str]:
    """Matches the HLXL of every value of `operation`."""
    stand_ins = {slot.name: Choice(Handle(f"SLOT{i}"), "", "") for i, slot in enumerate(operation.slots)}
    shape = re.escape(hlxl(operation, stand_ins))
    for i, slot in enumerate(operation.slots):
        values = "|".join(re.escape(render(choice.value, Format.HLXL)) for choice in slot.choices)
        # As a value a handle stands with its prefix, as an object's key without.
        shape = shape.replace(re.escape(f"&h_SLOT{i}"), f"(?:{values})")
        shape = shape.replace(f"SLOT{i}:", f"(?:{values.replace(re.escape('&h_'), '')}):")
    return re.compile(shape)


def longest_text(operation: Operation, form: Format) -> str:
    """The longest text of `operation` in `form`: the longest text of each slot makes it."""
    longest = {s.name: max((c.value for c in s.choices), key=lambda v: len(render(v, form))) for s in operation.slots}
    return render(fill(operation.template, longest), form)


def longest_sentence(operation: Operation, phrasing: str) -> str:
    specs = {name: spec or "" for _, name, spec, _ in Formatter().parse(phrasing) if name}
    longest = {s.name: max(s.choices, key=lambda c: len(format(c, specs[s.name]))) for s in operation.slots}
    return phrasing.format(**longest)


def is_hlx(line: str) -> bool:
    for form in Format:
        try:
            parse(line, form)
        except HLXSyntaxError:
            continue
        return True
    return False


@pytest.mark.parametrize("slot", SLOTS.values(), ids=lambda slot: slot.name)
def test_the_choices_of_a_slot_differ_in_value_and_in_words(slot: Slot) -> None:
    values = [render(choice.value, Format.HLXL) for choice in slot.choices]
    for distinct in (values, *([format(c, spec) for c in slot.choices] for spec in ("", "spelled"))):
        assert len(set(distinct)) == len(distinct)


def test_a_slot_that_is_unlike_another_follows_it_with_the_same_choices() -> None:
    for operation in OPERATIONS:
        earlier: dict[str, Slot] = {}
        for slot in operation.slots:
            if slot.unlike:
                assert earlier[slot.unlike].choices == slot.choices
            earlier[slot.name] = slot


def test_every_operation_has_two_to_four_phrasings_that_use_exactly_its_slots() -> None:
    for operation in OPERATIONS:
        assert 2 <= len(set(operation.phrasings)) == len(operation.phrasings) <= MOST_PHRASINGS
        for phrasing in operation.phrasings:
            named = [name for _, name, _, _ in Formatter().parse(phrasing) if name]
            assert sorted(named) == sorted(slot.name for slot in operation.slots), phrasing


def test_sentences_are_capitalised_and_end_without_a_period() -> None:
    rng = Random(0)
    for operation in OPERATIONS:
        for phrasing in operation.phrasings:
            sentence = phrasing.format(**drawn(operation, rng))
            assert sentence[0].isupper() and not sentence.endswith(".") and "  " not in sentence


def test_no_sentence_can_be_read_as_saying_two_values() -> None:
    """Sentences of every phrasing against the pattern of every other: each reading gives the same value."""
    phrasings = [(operation, phrasing) for operation in OPERATIONS for phrasing in operation.phrasings]
    readers = [(operation, pattern(operation, phrasing)) for operation, phrasing in phrasings]
    rng = Random(0)
    spec_of = [{n: s or "" for _, n, s, _ in Formatter().parse(phrasing) if n} for _, phrasing in phrasings]
    for operation, phrasing in phrasings:
        for _ in range(12):
            filling = drawn(operation, rng)
            sentence, value = phrasing.format(**filling), hlxl(operation, filling)
            for (other, reader), specs in zip(readers, spec_of, strict=True):
                if match := reader.fullmatch(sentence):
                    read = {
                        slot.name: next(c for c in slot.choices if format(c, specs[slot.name]) == match[slot.name])
                        for slot in other.slots
                    }
                    assert hlxl(other, read) == value, f"{sentence!r} of {phrasing!r} also reads as {other.phrasings}"


def test_no_two_operations_can_give_the_same_value() -> None:
    """Values of every operation against the HLXL shape of every other: none fits."""
    rng = Random(0)
    shapes = [value_shape(operation) for operation in OPERATIONS]
    for operation in OPERATIONS:
        for _ in range(20):
            value = hlxl(operation, drawn(operation, rng))
            givers = [o for o, shape in zip(OPERATIONS, shapes, strict=True) if shape.fullmatch(value)]
            assert givers == [operation], f"{value} is given by {[giver.phrasings[0] for giver in givers]}"


def test_no_example_of_the_longest_words_passes_254_characters() -> None:
    """Between any two of a sentence and the four formats: with `<BOS>` and `<EOS>` these are 256 tokens."""
    for operation in OPERATIONS:
        longest = [longest_text(operation, form) for form in Format]
        longest += [longest_sentence(operation, phrasing) for phrasing in operation.phrasings]
        *_, second, first = sorted(longest, key=len)
        assert len(f"[English] {first} → {second}") <= 254, operation.phrasings


def test_sentences_are_english_and_no_hlx() -> None:
    """Letters, known characters, no glyph, nothing that a format reads as a whole."""
    rng = Random(0)
    for operation in OPERATIONS:
        rounds = max((len(slot.choices) for slot in operation.slots), default=1)
        for _ in range(rounds):
            filling = drawn(operation, rng)
            for phrasing in operation.phrasings:
                sentence = phrasing.format(**filling)
                assert re.search("[A-Za-z]", sentence)
                assert not set("∅⊤⊥⟁⊠🜊🜁🜂🜃🜄◇◆→\n\t") & set(sentence) and not unknown_characters(sentence)
                assert not is_hlx(sentence), sentence


def test_a_sentence_holds_the_strings_of_its_value_as_they_are_or_as_formats_write_them() -> None:
    """So that a model can copy them; only delimiters have names."""
    for slot in SLOTS.values():
        for choice in slot.choices:
            if isinstance(choice.value, str) and slot.name not in ("delimiter", "operator", "operator2", "comparison"):
                assert choice.words in (choice.value, render(choice.value, Format.HLXL))
                assert choice.words == choice.value or choice.words.startswith('"')


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (0, "zero"),
        (14, "fourteen"),
        (42, "forty-two"),
        (80, "eighty"),
        (105, "one hundred five"),
        (4096, "four thousand ninety-six"),
        (-25, "minus twenty-five"),
        (3.14, "three point one four"),
        (0.05, "zero point zero five"),
    ],
)
def test_numbers_are_spelled_as_english_does(number: int | float, words: str) -> None:
    assert spell(number) == words
