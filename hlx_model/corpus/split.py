"""Decide which entries are held out, once for all corpora that are derived from them: nothing else draws a split."""

import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from enum import StrEnum

from hlx_model.corpus.entries import Entry
from hlx_model.language import GRAMMARS, Format

_SENTENCE_WORD = re.compile(r"[A-Za-z]+|\d")
# Of a value's HLXL: contract ids whole; field numbers not at all, since they are no content.
_VALUE_WORD = re.compile(r"@\d+(?=:)|(\{\d+(?=:)|[A-Za-z]+|\d)")


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
    sentence of its value. A value is held out only if each of its words (letter runs of its sentences; letter runs,
    contract ids and digits of the value) also occurs with another value that stays in train. So held-out entries need
    new combinations of known words, which a model can have learned, and no unknown words, which would only measure the
    draw.

    A value with a text that another value has in another format stays in train too: LC-B writes the string `"a"` as
    `["a"]`, which in HLXL is an array, so one prompt would be learned and judged.

    Values are considered in the order of the SHA-256 of their canonical HLXL. So the result depends on no seed, no
    order of the entries and no file name. Validation and test take turns: neither is empty if two values can be held
    out. An entry without a sentence is held out by its value alone. The time is linear in the text, except for sorting.

    Args:
        entries: of all documents together.
        held_out: share of `entries` to hold out, 0 to below 1. A corpus in which most words occur once gives less; the
            last value may exceed the share by its other sentences.

    Raises:
        ValueError: `held_out` is outside [0, 1).
    """
    if not 0 <= held_out < 1:
        raise ValueError(f"held_out is {held_out}; a share from 0 to below 1 is allowed")
    members: dict[str, list[int]] = {}
    for index, entry in enumerate(entries):
        members.setdefault(entry.texts[0], []).append(index)
    # In how many values of train each word occurs.
    occurrences: Counter[tuple[str, str]] = Counter()
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
        # Computed again, not kept: the words of a million values take gigabytes.
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


def _texts_of_two_values(entries: Sequence[Entry]) -> set[str]:
    """Return the texts that one value has in an ambiguous format, LC-B, and another value in another format.

    No others are shared: tokens that mean something in two of HLXL, LC-R and LC-T mean the same.
    """
    shared: set[str] = set()
    for number, format in enumerate(Format):
        if GRAMMARS[format].ambiguous:
            written = {entry.texts[number] for entry in entries}
            others = (text for entry in entries for n, text in enumerate(entry.texts) if n != number)
            shared |= written.intersection(others)
    return shared


def _words(hlxl: str, entries: Sequence[Entry], indices: Sequence[int]) -> frozenset[tuple[str, str]]:
    """Return the words of a value and of its sentences, kept apart: `search` in HLXL does not teach English."""
    found = {("value", word) for word in _VALUE_WORD.findall(hlxl) if word}
    for index in indices:
        found.update(("sentence", word) for word in _SENTENCE_WORD.findall(entries[index].english or ""))
    return frozenset(found)
