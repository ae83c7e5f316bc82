"""Compose a corpus document of any size from a seed.

The values are dealt like cards: a deck an operation, shuffled by the seed, and one card at a time
from each section in turn, from each of its operations in turn, until enough entries are out. So a
corpus of any size is balanced over sections and operations, holds no value twice, and small decks
(null has one card) simply run out.

A dealt value is emitted with *all* its phrasings, each as an entry of its own. Translating HLX into
English has many right answers and is counted right when the sentence is any that the corpus maps to
the value: that is fair only when the corpus holds them all.
"""

from collections import deque
from collections.abc import Iterator
from math import prod
from random import Random

from hlx_model.corpus.grammar import OPERATIONS
from hlx_model.corpus.grammar.lexicon import Choice, Slot
from hlx_model.corpus.grammar.templates import Operation, fill
from hlx_model.language import Format, render


def capacity() -> int:
    """The number of distinct entries that the grammar can give."""
    return sum(_values_of(operation) * len(operation.phrasings) for operation in OPERATIONS)


def compose(entries: int, seed: int) -> str:
    """A Markdown corpus document of exactly `entries` entries in all four formats.

    The same arguments give the same text on every machine and Python version. The last value dealt
    may lack some of its phrasings, where all of them would be more entries than were asked for.

    Raises:
        ValueError: `entries` is below 1 or above `capacity()`.
    """
    if not 1 <= entries <= capacity():
        raise ValueError(f"entries is {entries:,}; the grammar gives 1 to {capacity():,} distinct entries")
    document = {operation.section: [f"## {operation.section}"] for operation in OPERATIONS}
    meaning: dict[str, str] = {}
    missing = entries
    for operation, filling in _deal(Random(seed)):
        value = fill(operation.template, {name: choice.value for name, choice in filling.items()})
        lines = "\n".join(f"{form}: {render(value, form)}" for form in Format)
        for phrasing in operation.phrasings[:missing]:
            sentence = phrasing.format(**filling)
            assert meaning.setdefault(sentence, lines) == lines, f"the grammar gives {sentence!r} two values"
            document[operation.section].append(f"English: {sentence}\n{lines}")
        missing -= min(missing, len(operation.phrasings))
        if not missing:
            break
    sections = ("\n\n".join(blocks) for blocks in document.values() if len(blocks) > 1)
    title = f"# Composed HLX corpus\n\n{entries} entries, seed {seed}."
    return "\n\n".join((title, *sections)) + "\n"


def _values_of(operation: Operation) -> int:
    return prod(slot.size for slot in operation.slots)


def _deal(rng: Random) -> Iterator[tuple[Operation, dict[str, Choice]]]:
    """Every operation with every filling of its slots, each once, one section after another in turn."""
    decks: dict[str, deque[tuple[Operation, Iterator[int]]]] = {}
    for position in _shuffled(rng, len(OPERATIONS)):
        operation = OPERATIONS[position]
        deck = (operation, _shuffled(rng, _values_of(operation)))
        decks.setdefault(operation.section, deque()).append(deck)
    in_turn = deque(decks.values())
    while in_turn:
        of_section = in_turn.popleft()
        operation, cards = of_section.popleft()
        card = next(cards, None)
        if card is not None:
            yield operation, _filling(operation.slots, card)
            of_section.append((operation, cards))
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
