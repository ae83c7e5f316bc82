"""Read `grammar/lexicon.toml`: the slots, and the words and values that can fill each.

`grammar/README.md` describes the file. The generators that it can refer to are here: ranges of numbers, texts
built from parts or pairs, handles in camelCase.
"""

import re
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from itertools import product
from pathlib import Path

from hlx_model.composer.spelling import camel_case, spell
from hlx_model.json_model import JsonModel
from hlx_model.language import Format, Handle, Value, parse, render

SLOT = re.compile(r"<([a-z][a-z0-9_]*)>")
_NAME = re.compile(r"[a-z][a-z0-9_]*")
_NUMBER = r"-?\d+(?:\.\d+)?"
_RANGE = re.compile(rf"({_NUMBER})\.\.({_NUMBER})(?: step (\d+(?:\.\d+)?))?")


@dataclass(frozen=True)
class Choice:
    """One way to fill a slot: a value, and how English writes it."""

    value: Value
    words: str
    """What `<n>` gives in a phrasing: `42`."""
    spelled: str = ""
    """What `<n:spelled>` gives: `forty-two`. Only numbers have it."""

    def __format__(self, spec: str) -> str:
        return self.spelled if spec == "spelled" and self.spelled else self.words


@dataclass(frozen=True)
class Slot:
    """A named gap in a value and in its phrasings, and what can fill it."""

    name: str
    choices: tuple[Choice, ...]
    unlike: str = ""
    """An earlier slot of the same operation with the same choices. The two are never filled alike, because nobody
    writes "join users and users"."""

    @property
    def size(self) -> int:
        """Number of ways to fill the slot after the slots before it are filled."""
        return len(self.choices) - bool(self.unlike)


class _Table(JsonModel):
    """One table of the file. Exactly one of the first seven fields says where the choices come from."""

    handles: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    bytes: tuple[str, ...] = ()
    numbers: tuple[int | float | str, ...] = ()
    values: Mapping[str, str] = {}
    like: str = ""
    unlike: str = ""

    pairs: tuple[tuple[str, str], ...] = ()
    parts: Mapping[str, tuple[str, ...]] = {}
    quoted: bool = False
    above: int | float | None = None
    one_word: bool = False


_SOURCES = ("handles", "texts", "bytes", "numbers", "values", "like", "unlike")
_BELONGS_TO = {"pairs": "texts", "parts": "texts", "quoted": "texts", "above": "like", "one_word": "like"}


@contextmanager
def named(place: object) -> Iterator[None]:
    """Begin the message of a `ValueError` with the place that it is about."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{place}: {error}") from None


def read_lexicon(path: Path) -> dict[str, Slot]:
    """Read the slots of a lexicon, by name.

    Raises:
        ValueError: one line that names the file, the table and what is wrong.
        OSError: the file cannot be read.
    """
    slots: dict[str, Slot] = {}
    with named(path):
        for name, table in tomllib.loads(path.read_text(encoding="utf-8")).items():
            with named(f"[{name}]"):
                if not _NAME.fullmatch(name):
                    raise ValueError("a slot's name consists of small letters, digits and _")
                if not isinstance(table, dict):
                    raise ValueError("a table such as [name] is expected")
                slots[name] = _slot(name, _Table.from_json(table), slots)
    return slots


def _slot(name: str, table: _Table, earlier: Mapping[str, Slot]) -> Slot:
    given = table.model_fields_set
    if len(given.intersection(_SOURCES)) != 1:
        raise ValueError(f"exactly one of {', '.join(_SOURCES)} is expected")
    for extra, source in _BELONGS_TO.items():
        if extra in given and source not in given:
            raise ValueError(f"{extra} needs {source}")
    if table.pairs and table.parts:
        raise ValueError("pairs or parts are expected, not both")
    choices = tuple(_choices(table, earlier))
    if len(choices) < 2:
        raise ValueError("at least two choices are expected")
    written = [render(choice.value, Format.HLXL) for choice in choices]
    for what, texts in (("word", [choice.words for choice in choices]), ("value", written)):
        text, times = Counter(texts).most_common(1)[0]
        if times > 1:
            raise ValueError(f"the {what} {text} occurs twice")
    return Slot(name, choices, table.unlike)


def _choices(table: _Table, earlier: Mapping[str, Slot]) -> Iterator[Choice]:
    if other := table.like or table.unlike:
        if other not in earlier:
            raise ValueError(f"there is no [{other}] above it")
        for choice in earlier[other].choices:
            above = table.above is None or (isinstance(choice.value, int | float) and choice.value > table.above)
            if above and not (table.one_word and " " in choice.words):
                yield choice
    yield from (Choice(Handle(camel_case(words)), words) for words in table.handles)
    yield from (Choice(words.encode("ascii"), words) for words in table.bytes)
    yield from (Choice(number, repr(number), spell(number)) for number in _numbers(table.numbers))
    yield from (Choice(parse(value, Format.HLXL), words) for words, value in table.values.items())
    for text in _texts(table):
        yield Choice(text, render(text, Format.HLXL) if table.quoted else text)


def _numbers(entries: Iterable[int | float | str]) -> Iterator[int | float]:
    """Yield numbers, and those of ranges such as `0..12` and `0.1..5.0 step 0.1`, whose ends belong to them."""
    for entry in entries:
        if not isinstance(entry, str):
            yield entry
            continue
        found = _RANGE.fullmatch(entry)
        if found is None:
            raise ValueError(f"{entry!r} is no range such as '0..12' or '0.1..5.0 step 0.1'")
        first, last, step = (Decimal(text) for text in found.groups(default="1"))
        count, rest = divmod(abs(last - first), step) if step else (0, 1)
        if rest:
            raise ValueError(f"the range {entry!r} does not reach its end")
        number = float if "." in entry.replace("..", " ") else int
        yield from (number(first + step * i * (1 if last > first else -1)) for i in range(int(count) + 1))


def _texts(table: _Table) -> Iterator[str]:
    """Yield each text once for each pair, or for each combination of the parts."""
    fillings: list[dict[str, str]] = [{"first": first, "second": second} for first, second in table.pairs]
    if table.parts:
        fillings = [dict(zip(table.parts, words, strict=True)) for words in product(*table.parts.values())]
    for text in table.texts:
        yield from [_replaced(text, filling) for filling in fillings] or [text]


def _replaced(text: str, filling: Mapping[str, str]) -> str:
    for name in SLOT.findall(text):
        if name not in filling:
            raise ValueError(f"the text {text!r} has <{name}>, expected <{'>, <'.join(filling)}>")
    return SLOT.sub(lambda found: filling[found[1]], text)
