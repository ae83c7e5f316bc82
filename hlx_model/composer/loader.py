"""Load the composer's grammar from the TOML files in `grammar/`, and check it.

`grammar/README.md` says how to add an operation, a section or a word. What a grammar can say is not listed here but
drawn (`sampling.py`) and read back (`reading.py`).
"""

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import product
from pathlib import Path
from random import Random
from typing import NamedTuple

from hlx_model.composer.lexicon import SLOT, Choice, Slot, Words, drawn, named, read_lexicon
from hlx_model.composer.phrasing import Pieces, alternatives, matches
from hlx_model.json_model import JsonModel
from hlx_model.language import Contract, Format, Handle, HLXSyntaxError, Value, parse

GRAMMAR = Path(__file__).with_name("grammar")
LEXICON, WORDS = "lexicon.toml", "words.toml"
STEP = "step"
"""The slot that is filled by any operation that has `step = true`."""

_STYLES = ("spelled", "negative", "and", "digits")
_STYLES_ALONE, _STYLES_AMONG_OTHERS = ("", "", "spelled", "and"), ("", "", "", "spelled")
"""A number that is all there is to say is in words in half of the sentences, also with "and"; beside other slots in a
quarter, as people write."""
_STYLE = "_style"
"""The field of a format string for the style that is drawn. No slot has this name."""
_SAID = re.compile(rf"<([a-z][a-z0-9_]*)(?::({'|'.join(_STYLES)}))?>")
_GAP = re.compile(SLOT.pattern + r"(\s*:)?")
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
_MARK = "_slot_"
"""In a template a handle or a key whose name begins with it is a slot."""


class Wording(NamedTuple):
    """One of the sentences that say an operation, before its slots are filled."""

    phrasing: int
    alternative: int
    style: int
    """How its numbers are written, if the phrasing fixes no style."""


@dataclass(frozen=True, eq=False)
class Operation:
    """A value with slots, and the English sentences that say it."""

    name: str
    """Where it stands: `02-basic-operations.toml, operation 1`."""
    section: str
    """The heading above its entries in a composed document; "" for a part of a sentence."""
    template: Value
    """The value. Handles and keys whose names begin with `_slot_` are its slots."""
    slots: Mapping[str, Slot]
    """Its slots by name, in the order of the template."""
    phrasings: tuple[tuple[str, ...], ...]
    """Each phrasing with its alternatives, as format strings whose fields are the slots: `Take {count:spelled}
    {things}`, and `Take {count:{_style}} {things}` if digits and words are both possible."""
    styles: tuple[str, ...]
    """How numbers are written where a phrasing fixes no style."""
    pieces: tuple[Pieces, ...]
    """The same, to read them."""
    weight: int = 1
    """How often it takes its turn."""
    step: bool = False
    """It can be a step of a program."""

    def draw(self, rng: Random) -> dict[str, Choice]:
        """Return what fills its slots this time."""
        filling: dict[str, Choice] = {}
        for name, slot in self.slots.items():
            choice = slot.draw(rng)
            while slot.unlike and choice.value == filling[slot.unlike].value:
                choice = slot.draw(rng)
            filling[name] = choice
        return filling

    def value(self, filling: Mapping[str, Choice]) -> Value:
        """Return the value with its slots filled."""
        return _filled(self.template, {name: choice.value for name, choice in filling.items()})

    def draw_wording(self, rng: Random) -> Wording:
        """Return a wording. Of phrasings and alternatives the first ones are the usual ones."""
        phrasing = _early(rng, len(self.phrasings))
        alternative = _early(rng, len(self.phrasings[phrasing]))
        return Wording(phrasing, alternative, int(rng.random() * len(self.styles)))

    def say(self, wording: Wording, filling: Mapping[str, Choice]) -> str:
        """Return a sentence, with its slots filled."""
        text = self.phrasings[wording.phrasing][wording.alternative]
        return text.format(**filling, **{_STYLE: self.styles[wording.style]})

    def read(self, sentence: str, pieces: Pieces) -> Iterator[Value]:
        """Yield the values that the sentence can stand for, said with one of this operation's `pieces`."""
        for said in matches(pieces, sentence):
            names = list(said)
            for values in product(*(list(self.slots[name].read(words)) for name, words in said.items())):
                yield _filled(self.template, dict(zip(names, values, strict=True)))


@dataclass(frozen=True, eq=False)
class Phrases:
    """A slot that is filled by what other operations say."""

    operations: list[Operation]
    unlike: str = ""
    spelled: bool = False

    def draw(self, rng: Random) -> Choice:
        """Return the value and the words of one of them."""
        turns = [operation for operation in self.operations for _ in range(operation.weight)]
        operation = drawn(rng, turns)
        filling = operation.draw(rng)
        words = operation.say(operation.draw_wording(rng), filling)
        return Choice(operation.value(filling), words[:1].lower() + words[1:] if operation.step else words)

    def read(self, words: str) -> Iterator[Value]:
        """Yield what they read."""
        for operation in self.operations:
            for pieces in operation.pieces:
                yield from operation.read(words, pieces)


def _early(rng: Random, number: int) -> int:
    """Return a number from 0 to below `number`, a small one most often: half of them are in the first quarter."""
    share = rng.random()
    return int(share * share * number)


@cache
def operations(without: frozenset[str] = frozenset()) -> tuple[Operation, ...]:
    """Return the operations of the project's grammar but those named, in the order of the files; loaded once."""
    return load_grammar(GRAMMAR, without)


def load_grammar(folder: Path, without: frozenset[str] = frozenset()) -> tuple[Operation, ...]:
    """Load `lexicon.toml`, `words.toml` and the sections of a folder, each a TOML file, in the order of their names.

    Args:
        folder: with the files.
        without: names of operations to leave out, also as steps of others.

    Raises:
        ValueError: one line that names the file, the operation and what is wrong.
        OSError: a file cannot be read.
    """
    slots: dict[str, Slot] = {**read_lexicon(folder / LEXICON, folder / WORDS)}
    steps = Phrases([])
    slots[STEP] = steps
    grammar: list[Operation] = []
    places: dict[str, str] = {}
    for path in sorted({*folder.glob("*.toml")} - {folder / LEXICON, folder / WORDS}):
        with named(path):
            section = _Section.from_json(tomllib.loads(path.read_text(encoding="utf-8")))
            for number, entry in enumerate(section.phrase, start=1):
                with named(f"phrase {number}, {entry.get('value', 'without a value')}"):
                    read = _Phrase.from_json(entry)
                    there = slots.setdefault(read.name, Phrases([]))
                    if not isinstance(there, Phrases):
                        raise ValueError(f"{LEXICON} has [{read.name}] too")
                    there.operations.append(_operation(f"{path.name}, phrase {number}", "", read, slots))
            for number, entry in enumerate(section.operation, start=1):
                with named(f"operation {number}, {entry.get('value', 'without a value')}"):
                    read_entry = _Entry.from_json(entry)
                    place = f"{path.name}, operation {number}"
                    operation = _operation(place, section.section, read_entry, slots)
                    if place not in without:
                        grammar.append(operation)
                        if read_entry.step:
                            steps.operations.append(operation)
                    for text in (alternative for phrasing in operation.phrasings for alternative in phrasing):
                        shape = re.sub(r"\{.*?\}", "{}", text)
                        if "{}" not in shape and (other := places.setdefault(text, place)) != place:
                            raise ValueError(f"{text!r} is also in {other}")
    return tuple(grammar)


class _Section(JsonModel):
    section: str = ""
    phrase: tuple[dict[str, object], ...] = ()
    operation: tuple[dict[str, object], ...] = ()


class _Entry(JsonModel):
    value: str
    phrasings: list[str]
    weight: int = 1
    step: bool = False


class _Phrase(_Entry):
    name: str


def _slot_named(name: str, slots: Mapping[str, Slot]) -> Slot:
    """Return the slot of a name; a slot such as `<small2>` is filled as `<small>` is."""
    found = slots.get(name) or slots.get(name.rstrip("0123456789"))
    if found is None:
        raise ValueError(f"unknown slot <{name}>: {LEXICON} has no [{name}]")
    return found


def _operation(name: str, section: str, entry: _Entry, lexicon: Mapping[str, Slot]) -> Operation:
    template = _template(entry.value)
    slots: dict[str, Slot] = {}
    for gap, colon in _GAP.findall(_STRING.sub("", entry.value)):
        slot = _slot_named(gap, lexicon)
        if colon and not (isinstance(slot, Words) and slot.handles):
            raise ValueError(f"<{gap}> is a key, expected a slot of handles")
        if slot.unlike and slot.unlike not in slots:
            raise ValueError(f"<{gap}> is unlike <{slot.unlike}>, expected before it")
        slots[gap] = slot
    for gap in SLOT.findall(entry.value):
        if gap not in slots:
            raise ValueError(f"<{gap}> is a part of a string, expected as a whole value or key")
    if not entry.phrasings:
        raise ValueError("phrasings are expected")
    if entry.weight < 1:
        raise ValueError(f"weight is {entry.weight}: it must be at least 1")
    phrasings = tuple(tuple(_phrasing(plain, slots) for plain in alternatives(text)) for text in entry.phrasings)
    pieces = dict.fromkeys(Pieces.of(text) for phrasing in phrasings for text in phrasing)
    styles = _STYLES_ALONE if len(slots) == 1 else _STYLES_AMONG_OTHERS
    return Operation(name, section, template, slots, phrasings, styles, tuple(pieces), entry.weight, entry.step)


def _phrasing(text: str, slots: Mapping[str, Slot]) -> str:
    """Return a sentence as a format string. It must have each slot of the value once, and no other."""
    found = [name for name, _ in _SAID.findall(text)]
    for name in (*slots, *found):
        if name not in slots:
            raise ValueError(f"the phrasing {text!r} has <{name}>, which the value lacks")
        if found.count(name) != 1:
            raise ValueError(f"the phrasing {text!r} has <{name}> {found.count(name)} times, expected once")
    for name, style in _SAID.findall(text):
        if style and not slots[name].spelled:
            raise ValueError(f"<{name}:{style}>: only numbers are spelled")
    text = text.replace("{", "{{").replace("}", "}}")
    return _SAID.sub(lambda said: _field(said[1], said[2] or "", slots[said[1]].spelled), text)


def _field(slot: str, style: str, number: bool) -> str:
    """Return the field of a slot in a format string, in a style that is fixed or, of a number, drawn."""
    if not style and number:
        style = f"{{{_STYLE}}}"
    return f"{{{slot}:{style}}}" if style and style != "digits" else f"{{{slot}}}"


def _template(text: str) -> Value:
    """Return the value of HLXL with slots: a slot becomes a handle, or a key, whose name is marked."""
    # The space ends the name of a handle, so that no letter of the text continues it.
    marked = _GAP.sub(lambda gap: f"{_MARK}{gap[1]}{gap[2]}" if gap[2] else f"&h_{_MARK}{gap[1]} ", text)
    try:
        return parse(marked, Format.HLXL)
    except HLXSyntaxError as error:
        column = len(_unmarked(marked[: error.position])) + 1
        message = _unmarked(error.message)
        if marked.startswith(f"&h_{_MARK}", error.position):
            message = message.replace("found '&'", "found a slot", 1)
        raise ValueError(f"the value is no HLXL: column {column}, {message}") from None


def _unmarked(text: str) -> str:
    return re.sub(rf"(?:&h_)?{_MARK}(\w+) ?", r"<\1>", text)


def _filled(template: Value, filling: Mapping[str, Value]) -> Value:
    match template:
        case Handle(name) if name.startswith(_MARK):
            return filling[name.removeprefix(_MARK)]
        case Contract(number, fields):
            return Contract(number, tuple((i, _filled(field, filling)) for i, field in fields))
        case list():
            return [_filled(item, filling) for item in template]
        case dict():
            return {_key(key, filling): _filled(member, filling) for key, member in template.items()}
    return template


def _key(key: str, filling: Mapping[str, Value]) -> str:
    if not key.startswith(_MARK):
        return key
    handle = filling[key.removeprefix(_MARK)]
    assert isinstance(handle, Handle)
    return handle.name
