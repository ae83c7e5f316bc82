"""Compose a corpus document of any size from a seed.

The operations take turns, in rounds that the seed shuffles; an operation of weight 3 has three turns in a round. Each
turn draws a value, and two or three of its sentences that the document does not have yet. An operation whose sentences
are all there, such as that of null, is left out from then on.

A value has two or three sentences, and not all, because other values teach more than other words for the same one. What
has few values, such as null, comes back with other sentences. An answer in English is right if the grammar reads it as
the value (`reading.py`), whichever sentences were drawn.

All entries are drawn before the first line is written, because a document is written section by section. Until then an
entry is three numbers of eight bytes each, so a million entries need little memory.
"""

from array import array
from collections.abc import Collection, Iterator, Sequence
from hashlib import blake2b
from itertools import groupby
from random import Random

from hlx_model.composer.loader import Operation, Wording, operations
from hlx_model.composer.spelling import folded
from hlx_model.language import Format, Value, render

MAX_ENTRIES = 5_000_000
"""The most entries of one document."""
LONGEST = 254
"""The most characters of an example; with `<BOS>` and `<EOS>` these are 256 tokens."""
_FRAME = len("[English]  → ")
_TRIES = 40
"""An operation is left out after so many draws in a row that gave nothing new."""


def compose(entries: int, seed: int, *, without: Collection[str] = frozenset()) -> str:
    """Return the lines of `compose_lines` as one text: about 1 kB of memory an entry."""
    return "".join(compose_lines(entries, seed, without=without))


def compose_lines(
    entries: int, seed: int, *, without: Collection[str] = frozenset(), silent: frozenset[str] = frozenset()
) -> Iterator[str]:
    """Return the lines of a Markdown corpus document of exactly `entries` entries in all formats.

    The same arguments give the same text on every machine and Python version. The last value may have one sentence, if
    more would be more entries than required.

    Args:
        entries: their number.
        seed: decides which of the possible entries are taken.
        without: sentences to leave out, because another document of the same corpus has them.
        silent: names of operations to leave out, because another document defines them otherwise.

    Raises:
        ValueError: `entries` is below 1 or too large. Raised at the call, before the first line.
    """
    if not 1 <= entries <= MAX_ENTRIES:
        raise ValueError(f"entries is {entries:,}: it must be from 1 to {MAX_ENTRIES:,}")
    grammar = operations(silent)
    dealt = {operation.section: array("q") for operation in grammar}
    missing = entries
    for position, card, said in _deal(Random(seed), grammar, {_identity(sentence) for sentence in without}):
        for wording in said[:missing]:
            dealt[grammar[position].section].extend((position, card, _packed(wording)))
        missing -= len(said)
        if missing <= 0:
            return _lines(f"{entries} entries, seed {seed}.", grammar, dealt)
    raise ValueError(f"entries is {entries:,}: the grammar gives {entries - missing:,} distinct entries")


def _lines(about: str, grammar: Sequence[Operation], dealt: dict[str, "array[int]"]) -> Iterator[str]:
    yield from ("# Composed HLX corpus\n", "\n", f"{about}\n")
    for section, numbers in dealt.items():
        if numbers:
            yield from ("\n", f"## {section}\n")
        entries = zip(numbers[0::3], numbers[1::3], numbers[2::3], strict=True)
        # The entries of a value follow each other: it is drawn and rendered once.
        for (position, card), of_value in groupby(entries, key=lambda entry: entry[:2]):
            operation = grammar[position]
            filling = operation.draw(Random(card))
            value = operation.value(filling)
            formats = [f"{form}: {render(value, form)}\n" for form in Format]
            for _, _, packed in of_value:
                text = operation.say(_unpacked(packed), filling)
                yield from ("\n", f"English: {_sentence(text)}\n", *formats)


def _packed(wording: Wording) -> int:
    """Return a wording as one number of at most eight bytes."""
    return (wording.phrasing << 16 | wording.alternative) << 8 | wording.style


def _unpacked(packed: int) -> Wording:
    """Return the wording that `_packed` made a number of."""
    return Wording(packed >> 24, packed >> 8 & 0xFFFF, packed & 0xFF)


def _deal(rng: Random, grammar: Sequence[Operation], sentences: set[bytes]) -> Iterator[tuple[int, int, list[Wording]]]:
    """Yield an operation's position, a card that its value is drawn by, and two or three wordings.

    Only `random()` is used, the one method of `Random` that promises the same sequence in every Python version.

    Args:
        rng: decides.
        grammar: the operations.
        sentences: identities of the sentences that are there already.
    """
    turns = [position for position, operation in enumerate(grammar) for _ in range(operation.weight)]
    while turns:
        _shuffle(rng, turns)
        finished: set[int] = set()
        for position in turns:
            operation = grammar[position]
            # One number decides a turn, so that a sentence that is there already changes no other turn.
            turn = Random(int(rng.random() * 2**53))
            for _ in range(_TRIES):
                card = int(turn.random() * 2**53)
                filling = operation.draw(Random(card))
                value = operation.value(filling)
                said = []
                for wording in _wordings(turn, operation):
                    text = _sentence(operation.say(wording, filling))
                    words = _identity(text)
                    if words not in sentences and _fits(text, value):
                        sentences.add(words)
                        said.append(wording)
                if said:
                    yield position, card, said
                    break
            else:
                finished.add(position)
        if finished:
            turns = [position for position in turns if position not in finished]


def _wordings(rng: Random, operation: Operation) -> list[Wording]:
    """Return two wordings, or in a fifth of the draws three, of different phrasings if there are so many."""
    wanted = 2 + int(rng.random() * 1.25)
    found: dict[int, Wording] = {}
    spare: list[Wording] = []
    for _ in range(6 * wanted):
        wording = operation.draw_wording(rng)
        if found.setdefault(wording.phrasing, wording) is not wording:
            spare.append(wording)
        if len(found) == wanted:
            break
    return [*found.values(), *spare][:wanted]


def _shuffle(rng: Random, items: list[int]) -> None:
    """Bring items into random order, by `random()` alone."""
    for place in range(len(items) - 1, 0, -1):
        other = int(rng.random() * (place + 1))
        items[place], items[other] = items[other], items[place]


def _fits(sentence: str, value: Value) -> bool:
    """Return whether every example of a sentence and a value, in any formats, has at most `LONGEST` characters."""
    first, second = sorted((sentence, *(render(value, form) for form in Format)), key=len)[-2:]
    return _FRAME + len(first) + len(second) <= LONGEST


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _identity(text: str) -> bytes:
    return blake2b(folded(text).encode(), digest_size=8).digest()
