"""Compose a corpus document of any size from a seed.

The values are dealt like cards: a deck an operation, shuffled by the seed, and one card at a time
from each section in turn, from each of its operations in turn, until enough entries are out. So a
corpus of any size is balanced over sections and operations, holds no value twice, and small decks
(null has one card) simply run out.

A dealt value is emitted with *all* its phrasings, each as an entry of its own. Translating HLX into
English has many right answers and is counted right when the sentence is any that the corpus maps to
the value: that is fair only when the corpus holds them all.

All is dealt before anything is written, because a document is written section by section; until
then an entry is a number of eight bytes, so a million entries need little memory.
"""

from array import array
from collections import deque
from collections.abc import Collection, Iterator
from itertools import groupby
from math import prod
from random import Random

from hlx_model.composer.grammar import OPERATIONS
from hlx_model.composer.grammar.lexicon import Choice, Slot
from hlx_model.composer.grammar.templates import MOST_PHRASINGS, Operation, fill
from hlx_model.language import Format, render


def capacity() -> int:
    """The number of distinct entries that the grammar can give."""
    return sum(_values_of(operation) * len(operation.phrasings) for operation in OPERATIONS)


def compose(entries: int, seed: int, *, without: Collection[str] = frozenset()) -> str:
    """The lines of `compose_lines` as one text: about 1 kB of memory an entry."""
    return "".join(compose_lines(entries, seed, without=without))


def compose_lines(entries: int, seed: int, *, without: Collection[str] = frozenset()) -> Iterator[str]:
    """The lines of a Markdown corpus document of exactly `entries` entries in all four formats.

    The same arguments give the same text on every machine and Python version. The last value dealt
    may lack some of its phrasings, where all of them would be more entries than were asked for.

    Args:
        entries: how many.
        seed: which of them.
        without: sentences to pass over, since a document that is read beside this one has them. Other
            entries take their places; those that are not passed over are dealt in the same order.

    Raises:
        ValueError: at once, not at the first line, where `entries` is below 1 or above what the
            grammar gives: `capacity()`, less the sentences of `without` that are the grammar's.
    """
    given = capacity()
    if not 1 <= entries <= given:
        raise ValueError(f"entries is {entries:,}; the grammar gives 1 to {given:,} distinct entries")
    passed_over = frozenset(without)
    dealt = {operation.section: array("q") for operation in OPERATIONS}
    missing = entries
    for position, card in _deal(Random(seed)):
        for number, phrasing in enumerate(OPERATIONS[position].phrasings):
            if passed_over and phrasing.format(**_filling(OPERATIONS[position].slots, card)) in passed_over:
                continue
            dealt[OPERATIONS[position].section].append(_packed(position, card, number))
            missing -= 1
            if not missing:
                return _lines(f"{entries} entries, seed {seed}.", dealt)
    raise ValueError(
        f"entries is {entries:,}; the grammar gives {entries - missing:,} distinct entries"
        f" without the {len(passed_over):,} sentences to pass over"
    )


def _lines(about: str, dealt: dict[str, "array[int]"]) -> Iterator[str]:
    yield from ("# Composed HLX corpus\n", "\n", f"{about}\n")
    for section, packed_entries in dealt.items():
        if packed_entries:
            yield from ("\n", f"## {section}\n")
        # The entries of a value follow each other: it is filled in and rendered once.
        for (position, card), of_value in groupby(map(_unpacked, packed_entries), key=lambda entry: entry[:2]):
            operation = OPERATIONS[position]
            filling = _filling(operation.slots, card)
            value = fill(operation.template, {name: choice.value for name, choice in filling.items()})
            formats = [f"{form}: {render(value, form)}\n" for form in Format]
            for _, _, number in of_value:
                yield from ("\n", f"English: {operation.phrasings[number].format(**filling)}\n", *formats)


def _packed(position: int, card: int, number: int) -> int:
    """One integer for an entry: its operation's position, its value's card, its phrasing's number."""
    return (card * len(OPERATIONS) + position) * MOST_PHRASINGS + number


def _unpacked(entry: int) -> tuple[int, int, int]:
    value, number = divmod(entry, MOST_PHRASINGS)
    card, position = divmod(value, len(OPERATIONS))
    return position, card, number


def _values_of(operation: Operation) -> int:
    return prod(slot.size for slot in operation.slots)


def _deal(rng: Random) -> Iterator[tuple[int, int]]:
    """The position of an operation and a card of its deck, each card once, sections in turn."""
    decks: dict[str, deque[tuple[int, Iterator[int]]]] = {}
    for position in _shuffled(rng, len(OPERATIONS)):
        deck = (position, _shuffled(rng, _values_of(OPERATIONS[position])))
        decks.setdefault(OPERATIONS[position].section, deque()).append(deck)
    in_turn = deque(decks.values())
    while in_turn:
        of_section = in_turn.popleft()
        position, cards = of_section.popleft()
        card = next(cards, None)
        if card is not None:
            yield position, card
            of_section.append((position, cards))
        if of_section:
            # A section whose operation has just run out is not passed over: its next operation deals.
            (in_turn.append if card is not None else in_turn.appendleft)(of_section)


def _shuffled(rng: Random, size: int) -> Iterator[int]:
    """0 to `size` - 1 in random order, lazily: a Fisher-Yates shuffle that remembers only what it moved.

    Of `Random`'s methods only `random()` promises the same sequence in every Python version, so
    `sample` and `shuffle` are not used. Sizes stay far below 2**53, where its resolution ends.
    """
    moved: dict[int, int] = {}
    for last in range(size - 1, -1, -1):
        place = int(rng.random() * (last + 1))
        yield moved.get(place, place)
        moved[place] = moved.pop(last, last)


def _filling(slots: tuple[Slot, ...], card: int) -> dict[str, Choice]:
    """The filling with number `card`: its mixed-radix digits choose for each slot."""
    places: dict[str, int] = {}
    for slot in slots:
        card, place = divmod(card, slot.size)
        # A slot unlike another skips the other's place, which makes its digits one fewer.
        places[slot.name] = place + (bool(slot.unlike) and place >= places[slot.unlike])
    return {slot.name: slot.choices[places[slot.name]] for slot in slots}
