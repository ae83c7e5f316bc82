"""Read English back as values: the recognizer of what the composer's grammar can say."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from functools import cache

from hlx_model.composer.loader import Operation, operations
from hlx_model.composer.phrasing import Pieces
from hlx_model.language import Contract, Handle, Value, same

_COMMAND = 1000
"""The contract whose first field says what is done."""


def reads_as(sentence: str, value: Value) -> bool:
    """Return whether the grammar can say the value with this sentence."""
    return any(same(value, other) for _, other in readings(sentence))


def readings(sentence: str) -> Iterator[tuple[Operation, Value]]:
    """Yield the values that a sentence can stand for, each with the operation that says it; some more than once.

    White space, a final stop and the case of fixed words do not matter. Names are read if the lexicon has them, or if
    they are made as its open names are, also of words that are in no list.
    """
    text = " ".join(sentence.split()).removesuffix(".")
    first = text.lower().partition(" ")[0].rstrip(",")
    for operation, pieces in (*_by_first_word()[first], *_by_first_word()[""]):
        for value in operation.read(text, pieces):
            yield operation, value


def defined_otherwise(entries: Iterable[tuple[str, Value]]) -> frozenset[str]:
    """Return the names of the operations whose sentences these entries give values of another form.

    A sentence that has another name in it than the value ("Load the config file", `"config.json"`) is no contradiction.
    An operation stays if as many entries agree with it.

    Args:
        entries: sentences with their values.
    """
    votes: Counter[str] = Counter()
    for sentence, value in entries:
        found = list(readings(sentence))
        right = {operation.name for operation, read in found if same(read, value)}
        alike = {operation.name for operation, read in found if _form(read) == _form(value)}
        votes.update(right)
        if not right:
            votes.subtract({operation.name for operation, _ in found} - alike)
    return frozenset(name for name, sum_ in votes.items() if sum_ < 0)


def _form(value: Value, *, inside: bool = False) -> object:
    """Return a value without its names, texts and numbers: the ids of its contracts, what they do, kinds of fields."""
    match value:
        case Contract() | Handle() if inside:
            return "reference"
        case Contract(number, fields):
            verb = fields[0][1] if fields and number == _COMMAND else None
            return number, verb, *((i, _form(field, inside=True)) for i, field in fields)
        case list():
            return "list", *(_form(item, inside=True) for item in value)
        case dict():
            return "object", *((key, _form(member, inside=True)) for key, member in value.items())
    return type(value).__name__


@cache
def _by_first_word() -> defaultdict[str, list[tuple[Operation, Pieces]]]:
    """Return each phrasing by its first word, or by "" if it begins with a slot or a part of a word."""
    found: defaultdict[str, list[tuple[Operation, Pieces]]] = defaultdict(list)
    for operation in operations():
        for pieces in operation.pieces:
            word, space, _ = pieces.texts[0].partition(" ")
            whole = space or not pieces.slots
            found[word.rstrip(",") if whole else ""].append((operation, pieces))
    return found
