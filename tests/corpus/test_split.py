"""What the one decision about held-out entries promises."""

import re
import time
from collections import Counter, defaultdict
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hlx_model.corpus import Document, Entry, Split, assign_splits
from hlx_model.language import Contract, Handle, Value
from tests.support.documents import entry_of as entry
from tests.support.documents import value_of


def words(value: Value) -> set[str]:
    """Independently of the code under test: the words of `value` by walking it."""
    match value:
        case Contract(number, fields):
            return {f"contract {number}"}.union(*(words(field) for _, field in fields))
        case list():
            return set().union(*map(words, value))
        case dict():
            return set().union(*(words(key) | words(item) for key, item in value.items()))
        case Handle(name):
            return words(name)
        case bytes():
            return words(value.decode("ascii"))
        case str():
            return set(re.findall(r"[A-Za-z]+|\d", value))
        case bool() | None:
            return {str(value)}
        case _:
            return set(re.findall(r"\d", repr(value)))


def assert_sound(entries: Sequence[Entry], splits: Sequence[Split]) -> None:
    """The guarantees: whole values, no shared text, no unknown word."""
    splits_of: dict[str, set[Split]] = defaultdict(set)
    known_in_english: set[str] = set()
    known_in_values: set[str] = set()
    for item, split in zip(entries, splits, strict=True):
        splits_of[item.texts[0]].add(split)
        if split is Split.TRAIN:
            known_in_english |= words(item.english or "")
            known_in_values |= words(value_of(item))
    assert all(len(found) == 1 for found in splits_of.values())
    for item, split in zip(entries, splits, strict=True):
        if split is not Split.TRAIN:
            assert words(item.english or "") <= known_in_english
            assert words(value_of(item)) <= known_in_values


ENTRIES = st.lists(
    st.builds(
        lambda verb, noun, style: entry(f"{style} {verb} {noun}", Contract(1000, ((0, verb), (1, Handle(noun))))),
        st.sampled_from(["search", "sort", "count", "find"]),
        st.sampled_from(["users", "files", "logs", "orders", "rare"]),
        st.sampled_from(["Please", "Now", "Just"]),
    ),
    max_size=60,
    unique_by=lambda item: item.english,
)


@given(ENTRIES, st.floats(0, 0.9))
def test_held_out_values_are_whole_and_made_of_known_words(entries: list[Entry], held_out: float) -> None:
    assert_sound(entries, assign_splits(entries, held_out))


@given(ENTRIES, st.randoms(use_true_random=False))
def test_the_split_does_not_depend_on_the_order_of_the_entries(entries: list[Entry], rng: object) -> None:
    before = dict(zip((item.english for item in entries), assign_splits(entries), strict=True))
    turned = entries[::-1]
    assert dict(zip((item.english for item in turned), assign_splits(turned), strict=True)) == before


def test_a_tenth_of_a_composed_corpus_is_held_out_half_for_each_purpose(composed_document: Document) -> None:
    splits = assign_splits(composed_document.entries)
    assert_sound(composed_document.entries, splits)
    counts = Counter(splits)
    assert 500 <= counts[Split.VALIDATION] + counts[Split.TEST] <= 503
    assert abs(counts[Split.VALIDATION] - counts[Split.TEST]) < 50


def test_the_real_document_can_spare_a_tenth(real_document: Document) -> None:
    splits = assign_splits(real_document.entries)
    assert_sound(real_document.entries, splits)
    assert Counter(splits) == {Split.TRAIN: 147, Split.VALIDATION: 8, Split.TEST: 8}


def test_every_operation_of_the_composed_corpus_is_held_out_too(composed_document: Document) -> None:
    splits = assign_splits(composed_document.entries)
    held_out = {e.section for e, s in zip(composed_document.entries, splits, strict=True) if s is not Split.TRAIN}
    assert held_out == {item.section for item in composed_document.entries}


def test_a_word_that_occurs_once_is_never_held_out() -> None:
    entries = [entry("Number one", 1), entry("Number two", 22), entry("Number eleven", 11), entry("Number one two", 12)]
    splits = assign_splits(entries, 0.9)
    assert splits[1] is Split.TRAIN or splits[3] is Split.TRAIN
    assert splits[2] is Split.TRAIN  # "eleven"


def test_a_value_whose_text_is_ambiguous_across_formats_is_never_held_out() -> None:
    entries = [entry("String a", "a"), entry("Array a", ["a"]), entry("String b", "b"), entry("Array b", ["b"])]
    entries += [entry("String a b", "a b"), entry("Array String a b", ["a", "b"]), entry("String Array b a", "b a")]
    splits = assign_splits(entries, 0.5)
    assert set(splits[:4]) == {Split.TRAIN}
    assert Split.TEST in splits and Split.VALIDATION in splits


@pytest.mark.parametrize("sentence", ["Number {}", None], ids=["with a sentence", "by its value alone"])
def test_validation_and_test_have_an_entry_if_two_values_can_be_held_out(sentence: str | None) -> None:
    entries = [entry(sentence and sentence.format(n), n) for n in (1, 11, 111, 1111)]
    counts = Counter(assign_splits(entries, 0.01))
    assert counts == {Split.TRAIN: 2, Split.VALIDATION: 1, Split.TEST: 1}


def test_nothing_is_held_out_of_nothing_nor_when_nothing_is_wanted(real_document: Document) -> None:
    assert assign_splits([]) == []
    assert set(assign_splits(real_document.entries, 0)) == {Split.TRAIN}


@pytest.mark.parametrize("held_out", [-0.1, 1.0, float("nan")])
def test_a_share_that_is_none_is_refused(held_out: float) -> None:
    with pytest.raises(ValueError, match="a share from 0 to below 1"):
        assign_splits([entry("Number one", 1)], held_out)


def test_time_grows_with_the_number_of_entries_and_not_with_its_square() -> None:
    def seconds(count: int) -> float:
        entries = [entry(f"Number {n}", n) for n in range(count)]
        start = time.perf_counter()
        assign_splits(entries)
        return time.perf_counter() - start

    seconds(1000)  # warm-up
    assert seconds(40_000) < 100 * seconds(4000)
