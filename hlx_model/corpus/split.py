"""Decide which entries are held out, once for all corpora that are derived from them: nothing else draws a split."""

import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from enum import StrEnum

from hlx_model.composer.spelling import folded
from hlx_model.corpus.entries import Entry
from hlx_model.language import GRAMMARS, Format

_SENTENCE_WORD = re.compile(r"[A-Za-z]+|\d")
# Of a value's HLXL: contract ids whole; field numbers not at all, since they are no content.
_VALUE_WORD = re.compile(r"@\d+(?=:)|(\{\d+(?=:)|[A-Za-z]+|\d)")
_ALONE = "English: "  # begins the key of a sentence without a value; no HLXL begins so


class Split(StrEnum):
    """The use of an entry: to learn from, to choose a checkpoint by, or to judge it by."""

    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"


EVALUATED = "evaluation"
"""In the place of a split: the use of an entry of an evaluation document. It belongs to no corpus."""


def assign_splits(entries: Sequence[Entry], held_out: float = 0.10) -> list[Split]:
    """Return the split of each entry, in their order.

    *Values* are held out, each with all its sentences: a sentence in train would give away the answer of every other
    sentence of its value, and so would the same sentence in another case, with other spaces or a final stop. A value is
    held out only if each of its words (letter runs of its sentences; letter runs, contract ids and digits of the value)
    also occurs with another value that stays in train. So held-out entries need new combinations of known words, which
    a model can have learned, and no unknown words, which would only measure the draw.

    A value with a text that another value has in another format stays in train too: LC-B writes the string `"a"` as
    `["a"]`, which in HLXL is an array, so one prompt would be learned and judged. So does a value of which an example
    is longer than the sequence length.

    Values are considered in the order of the SHA-256 of their canonical HLXL. So the result depends on no seed, no
    order of the entries and no file name. Validation and test take turns: neither is empty if two values can be held
    out. An entry without a sentence is held out by its value alone. Of the sentences without a value the same share is
    held out, after the values. The time is linear in the text, except for sorting.

    Args:
        entries: of all documents together.
        held_out: share of `entries` to hold out, 0 to below 1. A corpus in which most words occur once gives less; the
            last value may exceed the share by its other sentences.

    Raises:
        ValueError: `held_out` is outside [0, 1).
    """
    if not 0 <= held_out < 1:
        raise ValueError(f"held_out is {held_out}; a share from 0 to below 1 is allowed")
    groups = _groups(entries)
    ambiguous = _texts_of_two_values(entries)
    # In how many groups of train each word of values, and of sentences, occurs.
    occurrences: tuple[Counter[str], Counter[str]] = Counter(), Counter()
    splits = [Split.TRAIN] * len(entries)
    for of_values in (True, False):
        members = {key: indices for key, indices in groups.items() if key.startswith(_ALONE) != of_values}
        for indices in members.values():
            for count, words in zip(occurrences, _words(entries, indices), strict=True):
                count.update(words)
        wanted = held_out * sum(map(len, members.values()))
        entries_held = groups_held = 0
        for key in sorted(members, key=lambda text: hashlib.sha256(text.encode()).digest()):
            if entries_held >= wanted and (groups_held >= 2 or not wanted):
                break
            indices = members[key]
            # Computed again, not kept: the words of a million values take gigabytes.
            counted = list(zip(occurrences, _words(entries, indices), strict=True))
            if any(count[word] < 2 for count, words in counted for word in words):
                continue
            if any(_stays(entries[i], ambiguous) for i in indices):
                continue
            for count, words in counted:
                count.subtract(words)
            split = Split.TEST if groups_held % 2 else Split.VALIDATION
            for index in indices:
                splits[index] = split
            entries_held += len(indices)
            groups_held += 1
    return splits


def held_out_values(entries: Sequence[Entry]) -> int:
    """Return how many values of these entries a model is judged by: those in test, or in validation without a test."""
    by_split: dict[Split, set[str]] = {Split.TEST: set(), Split.VALIDATION: set(), Split.TRAIN: set()}
    for entry, split in zip(entries, assign_splits(entries), strict=True):
        by_split[split].update(entry.texts[:1])
    return len(by_split[Split.TEST] or by_split[Split.VALIDATION])


def _stays(entry: Entry, ambiguous: set[str]) -> bool:
    """Return whether an entry stays in train: a question about it could not be answered."""
    return entry.left_out or not ambiguous.isdisjoint(entry.texts)


def _groups(entries: Sequence[Entry]) -> dict[str, list[int]]:
    """Return the indices of the entries that share a split, by the smallest HLXL among them, or by their sentence.

    Entries share it that have the same value, or sentences that differ in case, spaces or a final stop.
    """
    value_of: dict[str, str] = {}  # by folded sentence, its first value
    smaller: dict[str, str] = {}  # of two values with such sentences

    def smallest(key: str) -> str:
        while key in smaller:
            key = smaller[key]
        return key

    for entry in entries:
        if entry.texts and entry.english is not None:
            first = value_of.setdefault(folded(entry.english), entry.texts[0])
            if first != entry.texts[0]:
                one, other = sorted(map(smallest, (first, entry.texts[0])))
                smaller |= {other: one} if one != other else {}
    groups: dict[str, list[int]] = {}
    for index, entry in enumerate(entries):
        if entry.texts:
            key = smallest(entry.texts[0])
        else:
            sentence = folded(entry.english or "")
            key = smallest(value_of[sentence]) if sentence in value_of else _ALONE + sentence
        groups.setdefault(key, []).append(index)
    return groups


def _texts_of_two_values(entries: Sequence[Entry]) -> set[str]:
    """Return the texts that one value has in an ambiguous format, LC-B, and another value in another format.

    No others are shared: tokens that mean something in two of HLXL, LC-R and LC-T mean the same.
    """
    shared: set[str] = set()
    valued = [entry for entry in entries if entry.texts]
    for number, format in enumerate(Format):
        if GRAMMARS[format].ambiguous:
            written = {entry.texts[number] for entry in valued}
            others = (text for entry in valued for n, text in enumerate(entry.texts) if n != number)
            shared |= written.intersection(others)
    return shared


def _words(entries: Sequence[Entry], indices: Sequence[int]) -> tuple[set[str], set[str]]:
    """Return the words of values, and those of their sentences: `search` in HLXL does not teach English."""
    of_values: set[str] = set()
    of_sentences: set[str] = set()
    for hlxl in {entries[index].texts[0] for index in indices if entries[index].texts}:
        of_values.update(_VALUE_WORD.findall(hlxl))
    of_values.discard("")
    for index in indices:
        of_sentences.update(_SENTENCE_WORD.findall(entries[index].english or ""))
    return of_values, of_sentences
