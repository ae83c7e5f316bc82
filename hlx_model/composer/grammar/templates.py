"""Value templates with slots: what a row of the grammar says in HLX, and how it is filled."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

from hlx_model.composer.grammar.lexicon import Slot
from hlx_model.language import Contract, Handle, Value

MOST_PHRASINGS = 4
"""Most phrasings of an operation."""

Template: TypeAlias = "Slot | Form | Keyed | Handle | bool | int | float | str | bytes | list[Template] | None"


@dataclass(frozen=True)
class Form:
    """A contract with slots: its id and the templates of its fields 0, 1, 2 …"""

    id: int
    fields: tuple[Template, ...]


@dataclass(frozen=True)
class Keyed:
    """An object with slots: pairs of a key, which may be a slot of handles, and a template."""

    pairs: tuple[tuple[str | Slot, Template], ...]


def form(contract_id: int, *fields: Template) -> Form:
    """A template of contract `contract_id` with `fields` numbered from 0."""
    return Form(contract_id, fields)


def call(name: str, *arguments: Template) -> Form:
    """A template of the operation `name`: contract 1000 with the name in field 0."""
    return Form(1000, (name, *arguments))


def keyed(*pairs: tuple[str | Slot, Template]) -> Keyed:
    """A template of an object."""
    return Keyed(pairs)


@dataclass(frozen=True)
class Operation:
    """One row of the grammar: `template` is said by each of `phrasings`, whose gaps are slot names."""

    section: str
    template: Template
    phrasings: tuple[str, ...]

    @cached_property
    def slots(self) -> tuple[Slot, ...]:
        """The template's slots, each once, in order of first appearance."""
        found: dict[str, Slot] = {}
        _collect_slots(self.template, found)
        return tuple(found.values())


def _collect_slots(template: Template, found: dict[str, Slot]) -> None:
    if isinstance(template, Slot):
        found.setdefault(template.name, template)
    elif isinstance(template, Form):
        for field in template.fields:
            _collect_slots(field, found)
    elif isinstance(template, Keyed):
        for key, value in template.pairs:
            if isinstance(key, Slot):
                found.setdefault(key.name, key)
            _collect_slots(value, found)
    elif isinstance(template, list):
        for item in template:
            _collect_slots(item, found)


def fill(template: Template, values: Mapping[str, Value]) -> Value:
    """The value of `template` with each slot replaced by `values[slot.name]`."""
    if isinstance(template, Slot):
        return values[template.name]
    if isinstance(template, Form):
        return Contract(template.id, tuple((i, fill(field, values)) for i, field in enumerate(template.fields)))
    if isinstance(template, Keyed):
        return {_key(key, values): fill(value, values) for key, value in template.pairs}
    if isinstance(template, list):
        return [fill(item, values) for item in template]
    return template


def _key(key: str | Slot, values: Mapping[str, Value]) -> str:
    if isinstance(key, str):
        return key
    handle = values[key.name]
    assert isinstance(handle, Handle), "a key slot holds handles"
    return handle.name


def row(template: Template, *phrasings: str) -> tuple[Template, tuple[str, ...]]:
    """One operation of a section: what it is and how it is said."""
    return template, phrasings


def section(title: str, *rows: tuple[Template, tuple[str, ...]]) -> tuple[Operation, ...]:
    """The operations of the section `title`, a heading of the composed document."""
    return tuple(Operation(title, template, phrasings) for template, phrasings in rows)
