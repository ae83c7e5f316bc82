"""Decide, once and for all corpora made of the entries, which are held out.

Everything else inherits the decision from `assign_splits`; nothing else ever draws a split.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from enum import StrEnum
from typing import TypeAlias

from hlx_model.corpus.entries import Entry
from hlx_model.language import GRAMMARS, Format

_SENTENCE_WORD = re.compile(r"[A-Za-z]+|\d")
# Of a value's HLXL: contract ids whole; field numbers not at all, for they are no content.
_VALUE_WORD = re.compile(r"@\d+(?=:)|(\{\d+(?=:)|[A-Za-z]+|\d)")

_Word: TypeAlias = tuple[str, str]


class Split(StrEnum):
    """What an entry is for: learning, choosing a checkpoint, or judging it."""

    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"


def assign_splits(entries: Sequence[Entry], held_out: float = 0.10) -> list[Split]:
    """The split of each entry, in their order.

    Held out are *values*, each with all its sentences, because a sentence in train gives the answer of
    every other sentence of its value away. A value is held out only if each of its words (letter runs
    of its sentences; letter runs, contract ids and digits of the value) also occurs with another value
    that stays in train: held-out entries then ask for new combinations of known words, which is what
    a model can have learned, and not for words it never saw, which measures nothing but the draw.

    Stays in train, too, a value with a text that another value has in another format: LC-B writes the
    string `"a"` as `["a"]`, which in HLXL is an array, so one prompt would be learned and judged.

    The order in which values are considered is that of the SHA-256 of their canonical HLXL, so the
    outcome depends on no seed, no order of the entries and no file name. Validation and test take
    turns, so both are non-empty wherever two values can be held out. Linear in the text, but for sorting.
    An entry without a sentence is held out, or not, by its value alone.

    Args:
        entries: of all documents together.
        held_out: share of `entries` to hold out, 0 to below 1. As far as can be: a corpus of which
            most words occur once gives less; the last value may exceed it by its other sentences.

    Raises:
        ValueError: `held_out` outside [0, 1).
    """
    if not 0 <= held_out < 1:
        raise ValueError(f"held_out is {held_out}; a share from 0 to below 1 is allowed")
    members: dict[str, list[int]] = {}
    for index, entry in enumerate(entries):
        members.setdefault(entry.texts[0], []).append(index)
    # In how many values of train each word occurs.
    occurrences: Counter[_Word] = Counter()
    for hlxl, indices in members.items():
        occurrences.update(_words(hlxl, entries, indices))
    ambiguous = _texts_of_two_values(entries)
    splits = [Split.TRAIN] * len(entries)
    wanted = held_out * len(entries)
    entries_held = values_held = 0
    for hlxl in sorted(members, key=lambda text: hashlib.sha256(text.encode()).digest()):
        if entries_held >= wanted and (values_held >= 2 or not wanted):
            break
        indices = members[hlxl]
        # Found again rather than kept: the words of a million values are gigabytes.
        words = _words(hlxl, entries, indices)
        if any(occurrences[word] < 2 for word in words) or not ambiguous.isdisjoint(entries[indices[0]].texts):
            continue
        occurrences.subtract(words)
        split = Split.TEST if values_held % 2 else Split.VALIDATION
        for index in indices:
            splits[index] = split
        entries_held += len(indices)
        values_held += 1
    return splits


def _texts_of_two_values(entries: Sequence[Entry]) -> frozenset[str]:
    """Return the texts that one value has in an ambiguous format, LC-B, and another value in another format.

    No others are shared: tokens that mean something in two of HLXL, LC-R and LC-T mean the same.
    """
    shared: set[str] = set()
    for number, format in enumerate(Format):
        if GRAMMARS[format].ambiguous:
            written = {entry.texts[number] for entry in entries}
            others = (text for entry in entries for n, text in enumerate(entry.texts) if n != number)
            shared.update(text for text in others if text in written)
    return frozenset(shared)


def _words(hlxl: str, entries: Sequence[Entry], indices: Sequence[int]) -> frozenset[_Word]:
    """The words of a value and of its sentences, told apart: `search` in HLXL does not teach English."""
    found = {("value", word) for word in _VALUE_WORD.findall(hlxl) if word}
    for index in indices:
        found.update(("sentence", word) for word in _SENTENCE_WORD.findall(entries[index].english or ""))
    return frozenset(found)
