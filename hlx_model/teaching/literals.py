"""Whether a sentence says every literal of a value, and no number besides: texts, names, numbers, true, false, null."""

import re
from collections import Counter
from collections.abc import Iterator

from hlx_model.composer.reading import reads_as
from hlx_model.composer.spelling import plural
from hlx_model.language import Contract, Format, Handle, Value, render
from hlx_model.teaching.numbers import Said, numbers_said

_CAMEL = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_SPELLED = {True: "true yes on enabled enable", False: "false no not off disabled disable without",
            None: "null nothing none empty no"}  # fmt: skip
_DIGITS = re.compile(r"(?<!\d)\d{1,18}(?!\d)")
_LONG = {"asc": "ascending", "desc": "descending", "min": "minimum", "max": "maximum", "avg": "average"}
_OPPOSITE = {True: "false off disabled disable deactivate unset", False: "true enabled enable activate"}


def parts_of(value: Value) -> Iterator[Value]:
    """Yield a value and every value in it; not the name of what a command does, field 0 of contract 1000."""
    yield value
    match value:
        case Contract(number, fields):
            for field, member in fields:
                if (number, field) != (1000, 0):
                    yield from parts_of(member)
        case list():
            for member in value:
                yield from parts_of(member)
        case dict():
            for member in value.values():
                yield from parts_of(member)


def texts_of(value: Value) -> Iterator[str]:
    """Yield the texts in a value that a sentence may repeat."""
    yield from (part for part in parts_of(value) if isinstance(part, str) and part)


def why_not_literal(english: str, value: Value, known: str) -> str | None:
    """Return which literal of a value a sentence does not say, or what it adds; None if it is right.

    A text that the known sentence says as it is must be said as it is, and a key that it says must be said. The words
    of a name may be in the plural and in any order. Numbers, texts, and names in an array keep the order of the known
    sentence.

    Args:
        english: the sentence.
        value: what it must say.
        known: a sentence that says the value.
    """
    return _unsaid(english, value, known) or _wrong_numbers(english, value, known) or _order(english, value, known)


def _unsaid(english: str, value: Value, known: str) -> str | None:
    words = {word.lower() for word in _CAMEL.findall(english)}
    parts = list(parts_of(value))
    for part in parts:
        match part:
            case bool() | None:
                if words.isdisjoint(_SPELLED[part].split()):
                    return f"it does not say {render(part, Format.HLXL)}"
                if part is not None and not any(other is (not part) for other in parts):
                    opposite = words.intersection(_OPPOSITE[part].split()).difference(known.lower().split())
                    if opposite:
                        return f"it says {min(opposite)!r}, but the value is {render(part, Format.HLXL)}"
            case str():
                if not _says(part, english, exactly=_at(part, known) is not None) and part.strip():
                    return f"it does not say {part[:60]!r}"
            case Handle(name):
                if not _says(name.removeprefix("h_"), english) and _at(name, english, re.IGNORECASE) is None:
                    return f"it does not say the name {name[:60]}"
            case dict():
                if lost := [key for key in part if _says(key, known) and not _says(key, english)]:
                    return f"it does not say the key {lost[0][:60]!r}"
    return None


def _at(text: str, sentence: str, flags: int = 0) -> int | None:
    """Return where a sentence has a text that is no part of a word; None if it has not."""
    before = r"(?<!\w)" if re.match(r"\w", text) else ""
    after = r"(?!\w)" if re.search(r"\w\Z", text) else ""
    found = re.search(before + re.escape(text) + after, sentence, flags)
    return found.start() if found else None


def _says(text: str, sentence: str, *, exactly: bool = False) -> bool:
    """Return whether a sentence says a text: as it is, or if that need not be, in any case or by its words."""
    if exactly:
        return _at(text, sentence) is not None
    if _at(text, sentence, re.IGNORECASE) is not None:
        return True
    words = {word.lower() for word in _CAMEL.findall(sentence)}
    parts = [part.lower() for part in _CAMEL.findall(text)]
    return bool(parts) and all(
        not words.isdisjoint({part, plural(part), part.removesuffix("s"), _LONG.get(part, part)}) for part in parts
    )


def _required(value: Value) -> Counter[str]:
    """Return the numbers of a value, as Python writes them."""
    numbers = (part for part in parts_of(value) if isinstance(part, int | float) and not isinstance(part, bool))
    return Counter(map(repr, numbers))


def _wrong_numbers(english: str, value: Value, known: str) -> str | None:
    """Require each number of the value once for each time that it has it, and none besides."""
    required = _required(value)
    names = [part.name if isinstance(part, Handle) else part for part in parts_of(value)
             if isinstance(part, Handle | str)]  # fmt: skip
    # The words of a name may be said one by one, its number with them.
    optional = Counter(str(int(digits)) for name in names if _at(name, english, re.IGNORECASE) is None
                       for digits in _DIGITS.findall(name))  # fmt: skip
    said, before = _numbers(english, value, required), _numbers(known, value, required)
    numbers = Counter(said.numbers)
    if missing := required - numbers:
        return f"it does not say the number {next(iter(missing))}"
    if added := numbers - required - optional - (Counter(before.numbers) - required):
        return f"it adds the number {next(iter(added))}"
    words = {word.lower() for name in names for word in (name, *name.split(), *_CAMEL.findall(name))}
    if quantities := [one for one in said.quantities if one not in before.quantities and one not in words]:
        return f"it adds the number {quantities[0]!r}"
    return None


def _numbers(sentence: str, value: Value, required: Counter[str]) -> Said:
    """Return the numbers of a sentence beside the texts of a value that it says."""
    for text in sorted(texts_of(value), key=len, reverse=True):
        if text.strip() and (at := _at(text, sentence)) is not None:
            sentence = f'{sentence[:at]} " {sentence[at + len(text) :]}'
    found = numbers_said(sentence)
    return found if not required - Counter(found.numbers) else numbers_said(sentence, and_joins=False)


def _order(english: str, value: Value, known: str) -> str | None:
    """Require that numbers, texts, and names in an array, are said in the order of the known sentence.

    What the composer's grammar reads as this value may have another order.
    """
    required = _required(value)
    said, before = (
        [number for number in _numbers(sentence, value, required).numbers if number in required]
        for sentence in (english, known)
    )
    changed = said != before and Counter(said) == Counter(before)
    for group in (list(texts_of(value)), *(_names(part) for part in parts_of(value) if isinstance(part, list))):
        places = [(_at(text, known, re.IGNORECASE), _at(text, english, re.IGNORECASE)) for text in dict.fromkeys(group)]
        both = sorted((first, second) for first, second in places if first is not None and second is not None)
        changed |= [second for _, second in both] != sorted(second for _, second in both)
    return "it says numbers, texts or names in another order" if changed and not reads_as(english, value) else None


def _names(array: list[Value]) -> list[str]:
    return [part.name.removeprefix("h_") for part in array if isinstance(part, Handle)]
