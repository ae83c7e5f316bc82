"""Compose a corpus document of any size from a seed.

The values are dealt like cards. Each operation has a deck of all its values, shuffled by the seed. The sections
take turns, and the operations of a section take turns; each turn deals one card. So a corpus of any size is
balanced over sections and operations and contains no value twice. A small deck (null has one card) runs out.

A value is written with *all* its phrasings, each as an entry of its own. HLX has many right translations into
English, and an answer is right if it is any sentence that the corpus has for the value. That is fair only if the
corpus has all of them.

All cards are dealt before the first line is written, because a document is written section by section. Until then
an entry is three numbers of eight bytes each, so a million entries need little memory.
"""

from array import array
from collections import deque
from collections.abc import Collection, Iterator
from itertools import groupby
from random import Random

from hlx_model.composer.loader import operations
from hlx_model.language import Format, render


def capacity() -> int:
    """Return the number of different entries that the grammar can give."""
    return sum(operation.size * len(operation.phrasings) for operation in operations())


def compose(entries: int, seed: int, *, without: Collection[str] = frozenset()) -> str:
    """Return the lines of `compose_lines` as one text: about 1 kB of memory an entry."""
    return "".join(compose_lines(entries, seed, without=without))


def compose_lines(entries: int, seed: int, *, without: Collection[str] = frozenset()) -> Iterator[str]:
    """Return the lines of a Markdown corpus document of exactly `entries` entries in all formats.

    The same arguments give the same text on every machine and Python version. The last value may lack some of its
    phrasings, if all of them would be more entries than required.

    Args:
        entries: their number.
        seed: decides which of the possible entries are taken.
        without: sentences to leave out, because another document of the same corpus has them. Other entries take
            their places; the order of the rest stays.

    Raises:
        ValueError: `entries` is below 1 or above what the grammar gives, which is `capacity()` minus those
            sentences of `without` that the grammar has. Raised at the call, before the first line.
    """
    most = capacity()
    if not 1 <= entries <= most:
        raise ValueError(f"entries is {entries:,}; the grammar gives 1 to {most:,} distinct entries")
    left_out = frozenset(without)
    grammar = operations()
    dealt = {operation.section: array("q") for operation in grammar}
    missing = entries
    for position, card in _deal(Random(seed)):
        operation = grammar[position]
        filling = operation.filling(card) if left_out else {}
        for number, phrasing in enumerate(operation.phrasings):
            if left_out and phrasing.format(**filling) in left_out:
                continue
            dealt[operation.section].extend((position, card, number))
            missing -= 1
            if not missing:
                return _lines(f"{entries} entries, seed {seed}.", dealt)
    raise ValueError(
        f"entries is {entries:,}; the grammar gives {entries - missing:,} distinct entries"
        f" without the {len(left_out):,} sentences to leave out"
    )


def _lines(about: str, dealt: dict[str, "array[int]"]) -> Iterator[str]:
    yield from ("# Composed HLX corpus\n", "\n", f"{about}\n")
    for section, numbers in dealt.items():
        if numbers:
            yield from ("\n", f"## {section}\n")
        entries = zip(numbers[0::3], numbers[1::3], numbers[2::3], strict=True)
        # The entries of a value follow each other: it is filled and rendered once.
        for (position, card), of_value in groupby(entries, key=lambda entry: entry[:2]):
            operation = operations()[position]
            filling = operation.filling(card)
            value = operation.value(filling)
            formats = [f"{form}: {render(value, form)}\n" for form in Format]
            for _, _, number in of_value:
                yield from ("\n", f"English: {operation.phrasings[number].format(**filling)}\n", *formats)


def _deal(rng: Random) -> Iterator[tuple[int, int]]:
    """Yield the position of an operation and a card of its deck: each card once, sections in turn."""
    decks: dict[str, deque[tuple[int, Iterator[int]]]] = {}
    for position in _shuffled(rng, len(operations())):
        operation = operations()[position]
        decks.setdefault(operation.section, deque()).append((position, _shuffled(rng, operation.size)))
    in_turn = deque(decks.values())
    while in_turn:
        of_section = in_turn.popleft()
        position, cards = of_section.popleft()
        card = next(cards, None)
        if card is not None:
            yield position, card
            of_section.append((position, cards))
        if of_section:
            # If the operation has just run out, the next operation of the same section deals in its place.
            (in_turn.append if card is not None else in_turn.appendleft)(of_section)


def _shuffled(rng: Random, size: int) -> Iterator[int]:
    """Yield 0 to `size` - 1 in random order: a Fisher-Yates shuffle that stores only the places it has moved.

    It uses `random()` alone, the one method of `Random` that promises the same sequence in every Python version.
    Its resolution ends at 2**53; sizes stay far below.
    """
    moved: dict[int, int] = {}
    for last in range(size - 1, -1, -1):
        place = int(rng.random() * (last + 1))
        yield moved.get(place, place)
        moved[place] = moved.pop(last, last)
