"""Phrasings: the sentences that `(Search|Look) for (the|) <things>` stands for, and matching a sentence with one."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from string import Formatter

_ALTERNATIVES = re.compile(r"\(([^()]*)\)")


def alternatives(phrasing: str) -> list[str]:
    """Return the sentences that a phrasing stands for: one for each combination of its alternatives."""
    parts = _ALTERNATIVES.split(phrasing)
    choices = [part.split("|") if i % 2 else [part] for i, part in enumerate(parts)]
    joined = ("".join(chosen) for chosen in product(*choices))
    return list(dict.fromkeys(" ".join(text.split()).replace(" ,", ",") for text in joined))


@dataclass(frozen=True)
class Pieces:
    """A phrasing in pieces: fixed text, and slots between it."""

    texts: tuple[str, ...]
    """The fixed text before, between and after the slots, in small letters: one more than the slots."""
    slots: tuple[str, ...]

    @classmethod
    def of(cls, phrasing: str) -> "Pieces":
        """Return the pieces of a format string such as `Take {count} {things}`."""
        texts, slots = [""], []
        for text, name, _, _ in Formatter().parse(phrasing):
            texts[-1] += text.lower()
            if name is not None:
                slots.append(name)
                texts.append("")
        return cls(tuple(texts), tuple(slots))


def matches(pieces: Pieces, sentence: str) -> Iterator[dict[str, str]]:
    """Yield each way to read a sentence as the phrasing, whatever the case of its fixed text: words by slot.

    Words stand in a slot if no white space is around them.
    """
    first, *rest = pieces.texts
    small = sentence.lower()
    if len(small) == len(sentence) and small.startswith(first) and small.endswith(pieces.texts[-1]):
        for words in _rest(small, sentence, len(first), rest):
            yield dict(zip(pieces.slots, words, strict=True))


def _rest(small: str, sentence: str, start: int, texts: list[str]) -> Iterator[tuple[str, ...]]:
    """Yield the words of the slots from `start` on, each followed by its text of `texts`."""
    if not texts:
        if start == len(sentence):
            yield ()
        return
    text, *later = texts
    last = not later
    end = len(sentence) - len(text) if last else small.find(text, start + 1)
    while start < end <= len(sentence) - len(text):
        words = sentence[start:end]
        if words == words.strip() and small.startswith(text, end):
            for others in _rest(small, sentence, end + len(text), later):
                yield (words, *others)
        end = -1 if last else small.find(text, end + 1)
