"""Load the composer's grammar from the TOML files in `grammar/`, and check it.

`grammar/README.md` says how to add an operation, a section or a word. The checks here are those that need one
operation at a time. That no sentence has two meanings is checked by `tests/composer/test_grammar.py`.
"""

import re
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cache
from math import prod
from pathlib import Path

from hlx_model.composer.lexicon import SLOT, Choice, Slot, named, read_lexicon
from hlx_model.json_model import JsonModel
from hlx_model.language import Contract, Format, Handle, HLXSyntaxError, Value, parse

GRAMMAR = Path(__file__).with_name("grammar")
LEXICON = "lexicon.toml"
MIN_PHRASINGS, MAX_PHRASINGS = 2, 4

_SAID = re.compile(r"<([a-z][a-z0-9_]*)(:spelled)?>")
_GAP = re.compile(SLOT.pattern + r"(\s*:)?")
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
_MARK = "_slot_"
"""In a template a handle or a key whose name begins with it is a slot."""


@dataclass(frozen=True)
class Operation:
    """A value with slots, and the English sentences that say it."""

    section: str
    """The heading above its entries in a composed document."""
    template: Value
    """The value. Handles and keys whose names begin with `_slot_` are its slots."""
    slots: tuple[Slot, ...]
    """Each slot once, in the order of the template."""
    phrasings: tuple[str, ...]
    """Format strings whose fields are the slots: `Take {count} {things}`, `Take {count:spelled} {things}`."""

    @property
    def size(self) -> int:
        """Number of different values."""
        return prod(slot.size for slot in self.slots)

    def filling(self, card: int) -> dict[str, Choice]:
        """Return filling number `card`, from 0 to `size` - 1: its mixed-radix digits choose for each slot."""
        places: dict[str, int] = {}
        for slot in self.slots:
            card, place = divmod(card, slot.size)
            # A slot unlike another skips the other's place, so it has one digit fewer.
            places[slot.name] = place + (bool(slot.unlike) and place >= places[slot.unlike])
        return {slot.name: slot.choices[places[slot.name]] for slot in self.slots}

    def value(self, filling: Mapping[str, Choice]) -> Value:
        """Return the value with its slots filled."""
        return _filled(self.template, filling)


@cache
def operations() -> tuple[Operation, ...]:
    """Return the operations of the project's grammar, in the order of the files; they are loaded once."""
    return load_grammar(GRAMMAR)


def load_grammar(folder: Path) -> tuple[Operation, ...]:
    """Load `lexicon.toml` and the sections of a folder, each a TOML file, in the order of their names.

    Raises:
        ValueError: one line that names the file, the operation and what is wrong.
        OSError: a file cannot be read.
    """
    slots = read_lexicon(folder / LEXICON)
    grammar: list[Operation] = []
    places: dict[str, str] = {}
    for path in sorted({*folder.glob("*.toml")} - {folder / LEXICON}):
        with named(path):
            section = _Section.from_json(tomllib.loads(path.read_text(encoding="utf-8")))
            for number, entry in enumerate(section.operation, start=1):
                with named(f"operation {number}, {entry.get('value', 'without a value')}"):
                    read = _Entry.from_json(entry)
                    grammar.append(_operation(section.section, read, slots))
                    place = f"{path.name}, operation {number}"
                    for text in (read.value, *read.phrasings):
                        if (other := places.setdefault(text, place)) != place:
                            raise ValueError(f"{text!r} is also in {other}")
    return tuple(grammar)


class _Section(JsonModel):
    section: str
    operation: list[dict[str, object]]


class _Entry(JsonModel):
    value: str
    phrasings: list[str]


def _operation(section: str, entry: _Entry, lexicon: Mapping[str, Slot]) -> Operation:
    for name, spelled in _SAID.findall(" ".join([entry.value, *entry.phrasings])):
        if name not in lexicon:
            raise ValueError(f"unknown slot <{name}>: {LEXICON} has no [{name}]")
        if spelled and not lexicon[name].choices[0].spelled:
            raise ValueError(f"<{name}:spelled>: only numbers are spelled")
    template = _template(entry.value)
    slots: dict[str, Slot] = {}
    for name, colon in _GAP.findall(_STRING.sub("", entry.value)):
        slot = lexicon[name]
        if colon and not all(isinstance(choice.value, Handle) for choice in slot.choices):
            raise ValueError(f"<{name}> is a key, expected a slot of handles")
        if slot.unlike and slot.unlike not in slots:
            raise ValueError(f"<{name}> is unlike <{slot.unlike}>, expected before it")
        slots[name] = slot
    for name in SLOT.findall(entry.value):
        if name not in slots:
            raise ValueError(f"<{name}> is a part of a string, expected as a whole value or key")
    if not MIN_PHRASINGS <= len(set(entry.phrasings)) == len(entry.phrasings) <= MAX_PHRASINGS:
        raise ValueError(f"{MIN_PHRASINGS} to {MAX_PHRASINGS} different phrasings are expected")
    phrasings = tuple(_phrasing(text, slots) for text in entry.phrasings)
    return Operation(section, template, tuple(slots.values()), phrasings)


def _phrasing(text: str, slots: Collection[str]) -> str:
    """Return a phrasing as a format string. It must have each slot of the value once, and no other."""
    found = [name for name, _ in _SAID.findall(text)]
    for name in (*slots, *found):
        if name not in slots:
            raise ValueError(f"the phrasing {text!r} has <{name}>, which the value lacks")
        if found.count(name) != 1:
            raise ValueError(f"the phrasing {text!r} has <{name}> {found.count(name)} times, expected once")
    return _SAID.sub(r"{\1\2}", text.replace("{", "{{").replace("}", "}}"))


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


def _filled(template: Value, filling: Mapping[str, Choice]) -> Value:
    match template:
        case Handle(name) if name.startswith(_MARK):
            return filling[name.removeprefix(_MARK)].value
        case Contract(number, fields):
            return Contract(number, tuple((i, _filled(field, filling)) for i, field in fields))
        case list():
            return [_filled(item, filling) for item in template]
        case dict():
            return {_key(key, filling): _filled(member, filling) for key, member in template.items()}
    return template


def _key(key: str, filling: Mapping[str, Choice]) -> str:
    if not key.startswith(_MARK):
        return key
    handle = filling[key.removeprefix(_MARK)].value
    assert isinstance(handle, Handle)
    return handle.name
