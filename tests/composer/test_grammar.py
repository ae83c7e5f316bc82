"""What the grammar promises, checked for all of its operations together."""

import re
from random import Random
from string import Formatter

import pytest

from hlx_model.composer.lexicon import Choice
from hlx_model.composer.loader import Operation, operations
from hlx_model.composer.spelling import spell
from hlx_model.language import Format, Handle, HLXSyntaxError, parse, render
from hlx_model.model.tokenizer import unknown_characters

OPERATIONS = operations()
SLOTS = {(slot.name, slot.choices): slot for operation in OPERATIONS for slot in operation.slots}


def drawn(operation: Operation, rng: Random) -> dict[str, Choice]:
    filling: dict[str, Choice] = {}
    for slot in operation.slots:
        taken = filling.get(slot.unlike)
        filling[slot.name] = rng.choice([choice for choice in slot.choices if choice is not taken])
    return filling


def hlxl(operation: Operation, filling: dict[str, Choice]) -> str:
    return render(operation.value(filling), Format.HLXL)


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
    stand_ins = {slot.name: Choice(Handle(f"SLOT{i}"), "") for i, slot in enumerate(operation.slots)}
    shape = re.escape(hlxl(operation, stand_ins))
    for i, slot in enumerate(operation.slots):
        values = "|".join(re.escape(render(choice.value, Format.HLXL)) for choice in slot.choices)
        # A handle has its prefix as a value, and none as an object's key.
        shape = shape.replace(re.escape(f"&h_SLOT{i}"), f"(?:{values})")
        shape = shape.replace(f"SLOT{i}:", f"(?:{values.replace(re.escape('&h_'), '')}):")
    return re.compile(shape)


def longest_text(operation: Operation, form: Format) -> str:
    """The longest text of `operation` in `form`: the longest text of each slot makes it."""
    longest = {s.name: max(s.choices, key=lambda c: len(render(c.value, form))) for s in operation.slots}
    return render(operation.value(longest), form)


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


def test_sentences_are_capitalised_and_end_without_a_period() -> None:
    rng = Random(0)
    for operation in OPERATIONS:
        for phrasing in operation.phrasings:
            sentence = phrasing.format(**drawn(operation, rng))
            assert sentence[0].isupper() and not sentence.endswith(".") and "  " not in sentence


def test_each_sentence_has_one_value() -> None:
    """Compare sentences of every phrasing with the pattern of every other: each reading gives the same value."""
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


def test_each_value_comes_from_one_operation() -> None:
    """Compare values of every operation with the HLXL shape of every other: none fits."""
    rng = Random(0)
    shapes = [value_shape(operation) for operation in OPERATIONS]
    for operation in OPERATIONS:
        for _ in range(20):
            value = hlxl(operation, drawn(operation, rng))
            givers = [o for o, shape in zip(OPERATIONS, shapes, strict=True) if shape.fullmatch(value)]
            assert givers == [operation], f"{value} is given by {[giver.phrasings[0] for giver in givers]}"


def test_the_longest_example_has_at_most_254_characters() -> None:
    """With `<BOS>` and `<EOS>` these are 256 tokens. An example is any two of a sentence and the formats."""
    for operation in OPERATIONS:
        longest = [longest_text(operation, form) for form in Format]
        longest += [longest_sentence(operation, phrasing) for phrasing in operation.phrasings]
        *_, second, first = sorted(longest, key=len)
        assert len(f"[English] {first} → {second}") <= 254, operation.phrasings


def test_sentences_are_english_and_no_hlx() -> None:
    """Each has a letter, only known characters, no glyph, and is a line of no format."""
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


def test_a_sentence_contains_the_strings_of_its_value() -> None:
    """As they are, or as the formats write them, so that a model can copy them. Only some have names."""
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
