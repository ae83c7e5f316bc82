"""Read `grammar/lexicon.toml` and `grammar/words.toml`: the slots, and the words and values that can fill each.

`grammar/README.md` describes the files. A slot draws what fills it, and reads a filling back: numbers in digits and in
words, names that are listed, and names that are made of any words.
"""

import re
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from random import Random
from typing import Protocol, TypeVar

from hlx_model.composer.spelling import camel_case, plural, read_number, spell
from hlx_model.json_model import JsonModel
from hlx_model.language import Format, Handle, Value, parse, render

T = TypeVar("T")

SLOT = re.compile(r"<([a-z][a-z0-9_]*)>")
_NAME = re.compile(r"[a-z][a-z0-9_]*")
_NUMBER = r"-?\d+(?:\.\d+)?"
_RANGE = re.compile(rf"({_NUMBER})\.\.({_NUMBER})(?: step (\d+(?:\.\d+)?))?")
_NEVER = "never"
"""The word list of what is no name: articles, prepositions, numbers."""


@dataclass(frozen=True)
class Choice:
    """One way to fill a slot: a value, and how English writes it."""

    value: Value
    words: str
    """What `<n>` gives in a phrasing: `42`."""
    spelled: str = ""
    """What `<n:spelled>` gives: `forty-two`. Only numbers have it."""

    def __format__(self, spec: str) -> str:
        if not self.spelled or not spec:
            return self.words
        if spec == "negative":
            return self.spelled.replace("minus", "negative", 1)
        return spell(self.value, "and") if spec == "and" and isinstance(self.value, int) else self.spelled


def drawn(rng: Random, options: Sequence[T]) -> T:
    """Return one of the options. `random()` alone promises the same sequence in every Python version."""
    return options[int(rng.random() * len(options))]


class Slot(Protocol):
    """A named gap in a value and in its phrasings."""

    @property
    def unlike(self) -> str:
        """Return the earlier slot of the same operation that is never filled alike; "" if there is none."""
        ...

    @property
    def spelled(self) -> bool:
        """Return whether it has numbers, which a sentence can write in digits and in words."""
        ...

    def draw(self, rng: Random) -> Choice:
        """Return what fills it this time."""
        ...

    def read(self, words: str) -> Iterator[Value]:
        """Yield the values that the words can stand for."""
        ...


@dataclass(frozen=True)
class Pattern:
    """How a name is made: `<noun> <plural>`, `<noun>.<extension>`."""

    parts: tuple[tuple[str, ...], ...]
    """Word lists; a list of one for what is fixed."""
    refused: frozenset[str]
    """Words, in small letters, that are read only if they are in the lists."""

    def draw(self, rng: Random) -> str:
        """Return a name of it."""
        return "".join(drawn(rng, part) for part in self.parts)

    def reads(self, words: str) -> bool:
        """Return whether the words are made so, from the words of its lists or from others that are not refused."""
        found = self._regex.fullmatch(words)
        return found is not None and all(
            word.lower() in list_ or (word.lower() not in self.refused and (word[0].isupper() or not capital))
            for word, (list_, capital) in zip(found.groups(), self._lists, strict=True)
        )

    @cached_property
    def _regex(self) -> re.Pattern[str]:
        parts = ("([A-Za-z][A-Za-z0-9]*)" if len(part) > 1 else re.escape(part[0]) for part in self.parts)
        return re.compile("".join(parts))

    @cached_property
    def _lists(self) -> list[tuple[frozenset[str], bool]]:
        """The words of each list in small letters, and whether they are names with a capital letter."""
        return [(frozenset(w.lower() for w in part), part[0][0].isupper()) for part in self.parts if len(part) > 1]


@dataclass(frozen=True)
class Words:
    """A slot that is filled by a word, a number or a name."""

    choices: tuple[Choice, ...]
    """Those that are listed."""
    open: tuple[Pattern, ...] = ()
    """How names that are not listed are made. With them half of the fillings are made so."""
    handles: bool = False
    """Names are handles, not texts."""
    unlike: str = ""
    """An earlier slot of the same operation. The two are never filled alike: nobody writes "join users and users"."""

    @property
    def spelled(self) -> bool:
        """Return whether it has numbers."""
        return bool(self.choices) and bool(self.choices[0].spelled)

    def draw(self, rng: Random) -> Choice:
        """Return one of the choices, or a name made of other words."""
        if not self.open or (self.choices and rng.random() < 0.5):
            return drawn(rng, self.choices)
        words = drawn(rng, self.open).draw(rng)
        return Choice(self._named(words), words)

    def read(self, words: str) -> Iterator[Value]:
        """Yield the values that the words can stand for: at most two."""
        if self.spelled:
            number = read_number(words)
            if number is not None and (type(number), number < 0) in self._kinds:
                yield number
            return
        listed = self._listed.get(words.casefold())
        if listed is not None:
            yield listed.value
        if any(pattern.reads(words) for pattern in self.open):
            value = self._named(words)
            if listed is None or value != listed.value:
                yield value

    def _named(self, words: str) -> Value:
        return Handle(camel_case(words)) if self.handles else words

    @cached_property
    def _listed(self) -> dict[str, Choice]:
        return {choice.words.casefold(): choice for choice in self.choices}

    @cached_property
    def _kinds(self) -> set[tuple[type, bool]]:
        """The types and signs of its numbers."""
        return {(type(c.value), c.value < 0) for c in self.choices if isinstance(c.value, int | float)}


@dataclass(frozen=True)
class AnyOf:
    """A slot that is filled as one of several others are."""

    slots: tuple[Words, ...]
    unlike: str = ""

    @property
    def spelled(self) -> bool:
        """Return whether one of them has numbers."""
        return any(slot.spelled for slot in self.slots)

    def draw(self, rng: Random) -> Choice:
        """Return what one of the slots draws."""
        return drawn(rng, self.slots).draw(rng)

    def read(self, words: str) -> Iterator[Value]:
        """Yield what the slots read, each value once."""
        found: list[Value] = []
        for slot in self.slots:
            for value in slot.read(words):
                if value not in found:
                    found.append(value)
                    yield value


class _Table(JsonModel):
    """One table of the lexicon. Exactly one of the first eight fields says where the choices come from."""

    handles: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    bytes: tuple[str, ...] = ()
    numbers: tuple[int | float | str, ...] = ()
    values: Mapping[str, str] = {}
    like: str = ""
    unlike: str = ""
    of: tuple[str, ...] = ()

    open: tuple[str, ...] = ()
    pairs: tuple[tuple[str, str], ...] = ()
    quoted: bool = False
    above: int | float | None = None


_SOURCES = ("handles", "texts", "bytes", "numbers", "values", "like", "unlike", "of")
_BELONGS_TO = {
    "pairs": ("texts",), "quoted": ("texts",), "above": ("like",), "open": ("texts", "handles"),
}  # fmt: skip


@contextmanager
def named(place: object) -> Iterator[None]:
    """Begin the message of a `ValueError` with the place that it is about."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{place}: {error}") from None


def read_lexicon(lexicon: Path, words: Path) -> dict[str, Words | AnyOf]:
    """Read the slots of a lexicon, by name.

    Args:
        lexicon: the tables of the slots.
        words: the word lists that open names are made of.

    Raises:
        ValueError: one line that names the file, the table and what is wrong.
        OSError: a file cannot be read.
    """
    with named(words):
        lists = {name: tuple(text.split()) for name, text in tomllib.loads(words.read_text(encoding="utf-8")).items()}
        lists["plural"] = tuple(plural(noun) for noun in lists.get("noun", ()))
    slots: dict[str, Words | AnyOf] = {}
    with named(lexicon):
        for name, table in tomllib.loads(lexicon.read_text(encoding="utf-8")).items():
            with named(f"[{name}]"):
                if not _NAME.fullmatch(name):
                    raise ValueError("a slot's name consists of small letters, digits and _")
                if not isinstance(table, dict):
                    raise ValueError("a table such as [name] is expected")
                slots[name] = _slot(_Table.from_json(table), slots, lists)
    return slots


def _slot(table: _Table, earlier: Mapping[str, Words | AnyOf], lists: Mapping[str, tuple[str, ...]]) -> Words | AnyOf:
    given = table.model_fields_set
    if len(given.intersection(_SOURCES)) != 1:
        raise ValueError(f"exactly one of {', '.join(_SOURCES)} is expected")
    for extra, sources in _BELONGS_TO.items():
        if extra in given and given.isdisjoint(sources):
            raise ValueError(f"{extra} needs {' or '.join(sources)}")
    others = [_earlier(name, earlier) for name in (*table.of, *filter(None, [table.like, table.unlike]))]
    if table.of:
        return AnyOf(tuple(others))
    if others:
        (other,) = others
        choices = tuple(c for c in other.choices if table.above is None or _above(c.value, table.above))
        found = Words(choices, other.open, other.handles, table.unlike)
    else:
        patterns = tuple(_pattern(text, lists) for text in table.open)
        found = Words(tuple(_choices(table)), patterns, "handles" in given)
    if len(found.choices) < 2 and not found.open:
        raise ValueError("at least two choices are expected")
    written = [render(choice.value, Format.HLXL) for choice in found.choices]
    for what, texts in (("word", [choice.words for choice in found.choices]), ("value", written)):
        text, times = Counter(texts).most_common(1)[0] if texts else ("", 0)
        if times > 1 and not (what == "value" and table.values):
            raise ValueError(f"the {what} {text} occurs twice")
    return found


def _earlier(name: str, earlier: Mapping[str, Words | AnyOf]) -> Words:
    slot = earlier.get(name)
    if not isinstance(slot, Words):
        raise ValueError(f"there is no [{name}] above it")
    return slot


def _above(value: Value, limit: float) -> bool:
    return isinstance(value, int | float) and value > limit


def _pattern(text: str, lists: Mapping[str, tuple[str, ...]]) -> Pattern:
    """Return the pattern of `<noun> <plural>`: its word lists, with `(" ",)` between them.

    Where the kind of a word decides what belongs together, a word of another kind is refused: "old lists" is no noun
    and another noun. A single noun may be any word: "the backup".
    """
    names = SLOT.findall(text)
    for name in names:
        if name not in lists:
            raise ValueError(f"{text!r} has <{name}>, expected <{'>, <'.join(lists)}>")
    parts = tuple(lists[part[1:-1]] if part[:1] == "<" else (part,) for part in re.split("(<[a-z]+>)", text) if part)
    strict = len(names) > 1 or "adjective" in names
    refused = lists.values() if strict else [lists.get(_NEVER, ())]
    return Pattern(parts, frozenset(word.lower() for words in refused for word in words))


def _choices(table: _Table) -> Iterator[Choice]:
    yield from (Choice(Handle(camel_case(words)), words) for words in table.handles)
    yield from (Choice(words.encode("ascii"), words) for words in table.bytes)
    yield from (Choice(number, repr(number), spell(number)) for number in _numbers(table.numbers))
    yield from (Choice(parse(value, Format.HLXL), words) for words, value in table.values.items())
    for text in _texts(table):
        yield Choice(text, render(text, Format.HLXL) if table.quoted else text)


def _numbers(entries: Iterable[int | float | str]) -> Iterator[int | float]:
    """Yield numbers, and those of ranges such as `0..12` and `0.1..5.0 step 0.1`, whose ends belong to them.

    A number that occurs in several ranges is one choice.
    """
    found: dict[str, int | float] = {}
    for entry in entries:
        if not isinstance(entry, str):
            found[repr(entry)] = entry
            continue
        matched = _RANGE.fullmatch(entry)
        if matched is None:
            raise ValueError(f"{entry!r} is no range such as '0..12' or '0.1..5.0 step 0.1'")
        first, last, step = (Decimal(text) for text in matched.groups(default="1"))
        count, rest = divmod(abs(last - first), step) if step else (0, 1)
        if rest:
            raise ValueError(f"the range {entry!r} does not reach its end")
        number = float if "." in entry.replace("..", " ") else int
        for i in range(int(count) + 1):
            each = number(first + step * i * (1 if last > first else -1))
            found[repr(each)] = each
    yield from found.values()


def _texts(table: _Table) -> Iterator[str]:
    """Yield each text, or each once for each pair."""
    for text in table.texts:
        for first, second in table.pairs or [("", "")]:
            yield text.replace("<first>", first).replace("<second>", second)
