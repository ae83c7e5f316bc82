"""What a composed corpus promises."""

import hashlib
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import pytest

from hlx_model.composer import sampling
from hlx_model.composer.loader import operations
from hlx_model.composer.phrasing import matches
from hlx_model.composer.sampling import MAX_ENTRIES, compose, compose_lines
from hlx_model.composer.spelling import NUMBER_WORDS
from hlx_model.corpus import parse_document
from hlx_model.language import Contract, Format, Value, parse, same
from tests.support.documents import real_corpus

OPERATIONS = operations()
PINNED = {
    (1, 0): "6b3dab433a077f2c35c96a45dc1feb0164ecf7dc31340f5051a05184036b2e7c",
    (300, 0): "f1e752a5d06f3315a21972e781d8aa3687bd959e8cd3cf58c350ab6866b14872",
    (300, 1): "d70fa50e0458276104c648f343f042875b9f9af6aed3d5daa2bb325823052a32",
    (20_000, 2): "ed8c1fefddde10cc90ddf1caa1139284d4522408be686ef9fe499e9df36ecc1f",
}
"""SHA-256 of the text of so many entries with a seed."""
PINNED_WITHOUT = "153503e628450014b0b417a9191c9926e03b10abe1acc1d95ca2cc66295af1c9"
"""SHA-256 of 1,500 entries with seed 5, without each seventh sentence of 2,000 with this seed."""


@dataclass(frozen=True)
class Composed:
    """An entry of a composed document."""

    section: str
    english: str
    texts: tuple[str, ...]

    @property
    def value(self) -> Value:
        return parse(self.texts[0], Format.HLXL)


def entries_of(lines: Iterable[str]) -> Iterator[Composed]:
    """Yield the entries of a composed document, without the project's own reader."""
    section = ""
    for block in "".join(lines).split("\n\n"):
        if block.startswith("## "):
            section = block[3:]
        elif block.startswith("English: "):
            english, *formats = block.rstrip("\n").split("\n")
            texts = tuple(line.removeprefix(f"{form}: ") for line, form in zip(formats, Format, strict=True))
            yield Composed(section, english.removeprefix("English: "), texts)


def parts(value: Value, around: tuple[Value, ...] = ()) -> Iterator[tuple[Value, tuple[Value, ...]]]:
    """Yield `value` and every part of it, each with the values around it."""
    yield value, around
    fields: Iterable[Value] = ()
    if isinstance(value, Contract):
        fields = (field for _, field in value.fields)
    elif isinstance(value, list | dict):
        fields = value.values() if isinstance(value, dict) else value
    for field in fields:
        yield from parts(field, (*around, value))


def contracts_deep(value: Value) -> int:
    """Return how many contracts are nested at most."""
    return max(sum(isinstance(each, Contract) for each in (part, *around)) for part, around in parts(value))


@pytest.fixture(scope="module")
def composed() -> list[Composed]:
    return list(entries_of(compose_lines(15_000, seed=0)))


def share(entries: list[Composed], holds: Iterable[bool]) -> float:
    return sum(holds) / len(entries)


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize(("entries", "seed"), PINNED)
def test_the_same_seed_gives_the_text_that_it_always_gave(entries: int, seed: int) -> None:
    """A change of grammar, words or dealing makes other corpora: write the new digests, knowingly."""
    assert sha256(compose(entries, seed)) == PINNED[entries, seed]


def test_the_text_without_some_sentences_is_what_it_always_was() -> None:
    sentences = [entry.english for entry in entries_of(compose_lines(2000, seed=5))]
    assert sha256(compose(1500, seed=5, without=sentences[::7])) == PINNED_WITHOUT


def test_the_text_does_not_depend_on_the_hash_seed_of_the_process() -> None:
    program = "import hashlib; from hlx_model.composer.sampling import compose; " + (
        "import sys; sys.stdout.write(hashlib.sha256(compose(300, seed=0).encode()).hexdigest())"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "7"}
    output = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, check=True)
    assert output.stdout.decode() == PINNED[300, 0]


def test_composed_documents_read_back_without_a_defect() -> None:
    document = parse_document(compose(15_000, seed=1), "composed.md")
    assert len(document.entries) == 15_000
    assert document.quarantined == ()


def test_each_line_ends_where_the_next_begins() -> None:
    lines = list(compose_lines(50, seed=4))
    assert all(line.endswith("\n") and line.count("\n") == 1 for line in lines)
    assert "".join(lines) == compose(50, seed=4)


@pytest.mark.parametrize("entries", [1, 2, 7, 299])
def test_the_required_number_of_entries_is_given(entries: int) -> None:
    assert len(list(entries_of(compose_lines(entries, seed=3)))) == entries


@pytest.mark.parametrize("entries", [0, -1, MAX_ENTRIES + 1])
def test_too_many_entries_and_fewer_than_one_are_refused_at_once(entries: int) -> None:
    with pytest.raises(ValueError, match=f"entries is {entries:,}: it must be from 1 to 5,000,000"):
        compose_lines(entries, seed=0)


def test_sentences_differ_and_a_value_has_two_or_three_of_them() -> None:
    """In 20,000 entries. Values that are few, such as null, come back with other sentences."""
    entries = list(entries_of(compose_lines(20_000, seed=2)))
    assert len({entry.english.casefold() for entry in entries}) == len(entries) == 20_000
    sentences_of = Counter(entry.texts for entry in entries)
    frequent = [texts[0] for texts, count in sentences_of.items() if count > 12]
    assert {"null", "true", "false", "[]", "{}"} <= set(frequent) and len(frequent) < 200
    assert sum(count in (2, 3) for count in sentences_of.values()) > 0.85 * len(sentences_of)


def test_what_must_never_be_wrong_is_often_there(composed: list[Composed]) -> None:
    """Measured: 0.6% of the entries say null, 2.3% true or false, 8.0% a whole number alone."""
    values = Counter(entry.texts[0] for entry in composed)
    whole = sum(count for text, count in values.items() if re.fullmatch(r"-?\d+", text))
    assert values["null"] > 70 and values["true"] > 70 and values["[]"] > 60 and values["{}"] > 60
    assert whole > 0.05 * len(composed)


def test_half_of_the_names_are_in_no_list_of_the_lexicon(composed: list[Composed]) -> None:
    """So that a model learns to copy them."""
    names = {handle for entry in composed for handle in re.findall(r"&h_(\w+)", entry.texts[0])}
    assert len(names) > 1500


def test_the_four_formats_of_an_entry_say_the_same(composed: list[Composed]) -> None:
    for entry in composed[::10]:
        for text, form in zip(entry.texts, Format, strict=True):
            assert same(parse(text, form), entry.value)


def test_left_out_sentences_are_replaced_and_the_others_stay() -> None:
    plain = [entry.english for entry in entries_of(compose_lines(400, seed=5))]
    without = frozenset(plain[::7])
    got = [entry.english for entry in entries_of(compose_lines(400, seed=5, without=[*without, "Of another document"]))]
    assert len(got) == len(set(got)) == 400
    assert without.isdisjoint(got)
    # More values are dealt in place of the sentences: the rest of the first 400 is still there.
    assert set(plain) - without <= set(got)


def test_leaving_out_foreign_sentences_changes_nothing() -> None:
    assert compose(300, seed=0, without=["Of another document"]) == compose(300, seed=0)


def test_a_grammar_that_has_said_everything_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    few = tuple(operation for operation in OPERATIONS if not operation.slots)
    monkeypatch.setattr(sampling, "operations", lambda silent: few)
    with pytest.raises(ValueError, match=r"entries is 4,000: the grammar gives \d+ distinct entries"):
        compose_lines(4000, seed=0)
    said = len({phrasing for operation in few for alternatives in operation.phrasings for phrasing in alternatives})
    given = len(list(entries_of(compose_lines(int(0.5 * said), seed=0))))
    assert given == int(0.5 * said)


def test_30_000_entries_are_composed_within_little_memory() -> None:
    """Measured: 4.5 MiB, beside the grammar itself. The text would be 30 MB."""
    program = """
import tracemalloc
from hlx_model.composer.sampling import compose_lines
next(compose_lines(1, 0))
tracemalloc.start()
print(sum(line.startswith("English: ") for line in compose_lines(30_000, 0)), tracemalloc.get_traced_memory()[1])
"""
    output = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, text=True)
    entries, peak = map(int, output.stdout.split())
    assert entries == 30_000
    assert peak < 10 * 2**20


def test_every_section_of_the_real_corpus_has_its_counterpart() -> None:
    headings = re.findall(r"^## SECTION \d+: ([^(\n]+)", real_corpus().read_text(encoding="utf-8"), re.MULTILINE)
    assert len(headings) == 8
    ours = [set(operation.section.lower().split()) for operation in OPERATIONS]
    for heading in headings:
        topic = set(heading.lower().split()) - {"operations", "commands", "and"}
        assert any(topic <= section for section in ours), heading


def test_every_operation_is_in_a_corpus_of_5000() -> None:
    english = {entry.english.casefold() for entry in entries_of(compose_lines(5000, seed=1))}
    for operation in OPERATIONS:
        assert any(next(matches(pieces, e), None) is not None for pieces in operation.pieces for e in english), (
            operation.phrasings[0][0]
        )


def test_no_section_is_left_out(composed: list[Composed]) -> None:
    """Measured: from 2.2% of the entries (programs) to 24% (primitives, whose sentences are short)."""
    sections = Counter(entry.section for entry in composed)
    assert set(sections) == {operation.section for operation in OPERATIONS}
    assert all(0.02 < count / len(composed) < 0.3 for count in sections.values())


def test_a_composed_corpus_says_few_sentences_of_real_documents(capsys: pytest.CaptureFixture[str]) -> None:
    """Measured: 26 of 164. Its conventions are followed, its sentences are not copied."""
    real = set(re.findall("^English: (.*)$", real_corpus().read_text(encoding="utf-8"), re.MULTILINE))
    composed = {entry.english.casefold() for entry in entries_of(compose_lines(30_000, seed=0))}
    seen = sum(sentence.casefold() in composed for sentence in real)
    with capsys.disabled():
        print(f" {seen} of {len(real)} sentences of {real_corpus().name} stand in 30,000 composed entries")
    assert seen < 0.3 * len(real)


def test_every_third_sentence_has_a_number_in_digits_or_words(composed: list[Composed]) -> None:
    """Measured: 34% have one, 21% in digits and 13% spelled out."""
    words = re.compile(rf"\b({'|'.join(NUMBER_WORDS)})\b")
    digits = [bool(re.search(r"\b\d", entry.english)) for entry in composed]
    spelled = [bool(words.search(entry.english)) for entry in composed]
    assert share(composed, (a or b for a, b in zip(digits, spelled, strict=True))) > 0.33
    assert share(composed, digits) > 0.18
    assert share(composed, spelled) > 0.12


def test_negatives_and_floats_are_also_arguments(composed: list[Composed]) -> None:
    """Measured beyond primitives and literals: negatives in 1.7% of the entries, floats in 2.9%."""
    numbers = [
        (entry.section, part)
        for entry in composed
        if entry.section not in ("Primitives", "Literal contracts")
        for part, _ in parts(entry.value)
        if isinstance(part, int | float) and not isinstance(part, bool)
    ]
    negatives = [section for section, number in numbers if number < 0]
    floats = [section for section, number in numbers if isinstance(number, float)]
    assert len(negatives) > 0.015 * len(composed) and len(floats) > 0.025 * len(composed)
    assert len(set(negatives)) >= 3 and len(set(floats)) >= 5


def test_one_to_three_percent_have_a_string_with_awkward_characters(composed: list[Composed]) -> None:
    """Measured: 1.2%, in 6 sections."""
    awkward: dict[str, set[str]] = {}
    holding = 0
    for entry in composed:
        found = {
            c for part, _ in parts(entry.value) if isinstance(part, str) for c in part if c in '"\\\n\t[]{}|,:@&#='
        }
        holding += bool(found)
        if found:
            awkward.setdefault(entry.section, set()).update(found)
    assert 0.01 < holding / len(composed) < 0.03
    assert set().union(*awkward.values()) == set('"\\\n\t[]{}|,:@&#=')
    assert len(awkward) >= 5


def test_two_to_four_percent_nest_three_contracts(composed: list[Composed]) -> None:
    """Measured: 2.3%, in 3 sections."""
    deep = [entry for entry in composed if contracts_deep(entry.value) == 3]
    assert 0.02 < len(deep) / len(composed) < 0.04
    assert len({entry.section for entry in deep}) >= 3
    assert max(contracts_deep(entry.value) for entry in composed) == 3
