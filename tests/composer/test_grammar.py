"""What the grammar promises, checked for all of its operations together."""

import re
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hlx_model.composer.loader import Operation, operations
from hlx_model.composer.reading import readings, reads_as
from hlx_model.composer.sampling import LONGEST, compose_lines
from hlx_model.composer.spelling import camel_case, plural, read_number, spell
from hlx_model.corpus.prompts import ENGLISH, prompt
from hlx_model.language import Format, HLXSyntaxError, Value, parse
from hlx_model.model.tokenizer import unknown_characters

OPERATIONS = operations()


def said(operation: Operation, rng: Random) -> tuple[str, Value]:
    """A sentence of an operation and its value."""
    filling = operation.draw(rng)
    text = operation.say(operation.draw_wording(rng), filling)
    return text[:1].upper() + text[1:], operation.value(filling)


def is_hlx(line: str) -> bool:
    for form in Format:
        try:
            parse(line, form)
        except HLXSyntaxError:
            continue
        return True
    return False


@pytest.fixture(scope="module")
def sentences() -> list[tuple[str, Value]]:
    """Four sentences of each operation."""
    rng = Random(0)
    return [said(operation, rng) for operation in OPERATIONS for _ in range(4)]


def test_sentences_are_capitalised_and_end_without_a_period(sentences: list[tuple[str, Value]]) -> None:
    for sentence, _ in sentences:
        assert not sentence[0].islower() and not sentence.endswith(".") and "  " not in sentence, sentence
        assert not re.search(r"\s,|[()|<>]\Z", sentence), sentence


def test_sentences_are_english_and_no_hlx(sentences: list[tuple[str, Value]]) -> None:
    """Each has a letter, only known characters, no glyph, and is a line of no format."""
    for sentence, _ in sentences:
        assert re.search("[A-Za-z]", sentence)
        assert not set("∅⊤⊥⟁⊠🜊🜁🜂🜃🜄◇◆→\n\t") & set(sentence) and not unknown_characters(sentence)
        assert not is_hlx(sentence), sentence


def test_a_sentence_is_read_back_as_its_value(sentences: list[tuple[str, Value]]) -> None:
    for sentence, value in sentences:
        assert reads_as(sentence, value), sentence
    for sentence, value in sentences[::20]:
        assert reads_as(f" {sentence.replace(' ', '  ')}.", value), sentence


def test_few_sentences_have_two_readings(sentences: list[tuple[str, Value]]) -> None:
    """Measured: 4% of sentences that are spread over the operations. English has some: "Take the unique names"."""
    several = [sentence for sentence, _ in sentences if len({repr(value) for _, value in readings(sentence)}) > 1]
    assert len(several) < 0.06 * len(sentences), several


@pytest.mark.parametrize(
    ("sentence", "value"),
    [
        ("Look up zeppelins", '{1000: {@0: "search", @1: &h_zeppelins}}'),
        ("search FOR ALL THE zeppelins.", '{1000: {@0: "search", @1: &h_zeppelins}}'),
        ("Find kumquat in the fruit baskets", '{1000: {@0: "search", @1: &h_fruitBaskets, @2: "kumquat"}}'),
        ("Number one hundred and seven", "107"),
        ("A user named Xanthippe", '{name: "Xanthippe"}'),
        ("Read zeppelin.toml", '{1000: {@0: "read", @1: "zeppelin.toml"}}'),
        ("Open the cupola and then wait 3 seconds",
         '[{1000: {@0: "open", @1: &h_cupola}}, {1000: {@0: "wait", @1: 3}}]'),
    ],
)  # fmt: skip
def test_names_that_no_list_has_are_read(sentence: str, value: str) -> None:
    assert reads_as(sentence, parse(value, Format.HLXL))


@pytest.mark.parametrize(
    "sentence",
    [
        "", "Documents search", "Search for", "Search for the", "Number seven eight", "Find of in the to", "Zeppelins",
        "A user named xanthippe", "Read zeppelin", "Wait -3 seconds", "Search\nfor users and", "🜊", "Number 1_000",
    ],
)  # fmt: skip
def test_what_the_grammar_does_not_say_is_not_read(sentence: str) -> None:
    assert not list(readings(sentence))


def test_the_longest_example_has_at_most_254_characters() -> None:
    """With `<BOS>` and `<EOS>` these are 256 tokens. An example is any two of a sentence and the formats."""
    longest = 0
    for block in "".join(compose_lines(15_000, seed=3)).split("\n\n"):
        if block.startswith("English: "):
            texts = [line.split(": ", 1)[1] for line in block.rstrip("\n").split("\n")]
            *_, second, first = sorted(texts, key=len)
            longest = max(longest, len(prompt(ENGLISH, first)) + len(second))
    assert 240 < longest <= LONGEST


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


@given(
    st.integers(-19_999, 19_999) | st.integers(-999_999, 999_999).map(lambda n: n / 100), st.sampled_from(["", "and"])
)
def test_a_number_is_read_as_it_is_spelled(number: int | float, joint: str) -> None:
    if abs(number) < 20_000 and "e" not in repr(number):
        assert read_number(spell(number, joint)) == read_number(repr(number)) == number
        assert type(read_number(spell(number, joint))) is type(number)


@pytest.mark.parametrize(
    "words",
    ["", "-", "seven eight", "point five", "five point", "five point ten", "007", "1e3", "minus", "hundred", "١"],
)
def test_what_is_no_number_is_not_read_as_one(words: str) -> None:
    assert read_number(words) is None


def test_names_and_plurals_follow_rules() -> None:
    assert [camel_case(words) for words in ("test data", "GPU buffer", "dataset A", "userList")] == [
        "testData", "gpuBuffer", "datasetA", "userList",
    ]  # fmt: skip
    assert [plural(noun) for noun in ("cat", "box", "dish", "city", "key")] == [
        "cats",
        "boxes",
        "dishes",
        "cities",
        "keys",
    ]
