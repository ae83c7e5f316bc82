"""How English writes the numbers and names of the composed corpus, and reads them."""

import re
from functools import cache

_UNITS = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven"),
    *("twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"),
)
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
NUMBER_WORDS = (*_UNITS, *_TENS, "hundred", "thousand")
"""All words that `spell` writes numbers with, beside "minus", "point" and "and"."""
_LARGEST = 20_000
_DIGITS = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?")


def spell(number: int | float, joint: str = "") -> str:
    """Return a number in English words: `forty-two`, `minus ten`, `three point one four`.

    Args:
        number: below 20,000 in magnitude. The digits of a float are those of its `repr`, one word each.
        joint: "and" gives `one hundred and five`. Without it a list can say "three and five" unambiguously.

    Raises:
        ValueError: the number is too large, or its `repr` has an exponent.
    """
    if abs(number) >= _LARGEST or "e" in repr(number):
        raise ValueError(f"the number {number!r} cannot be spelled: it must be below 20,000, without an exponent")
    if number < 0:
        return f"minus {spell(-number, joint)}"
    if isinstance(number, float):
        whole, decimals = repr(number).split(".")
        return f"{spell(int(whole), joint)} point {' '.join(_UNITS[int(digit)] for digit in decimals)}"
    if number < 20:
        return _UNITS[number]
    if number < 100:
        tens, unit = divmod(number, 10)
        return _TENS[tens - 2] + (f"-{_UNITS[unit]}" if unit else "")
    scale, name = (1000, "thousand") if number >= 1000 else (100, "hundred")
    head, rest = divmod(number, scale)
    between = f" {joint} " if joint and rest < 100 else " "
    return f"{_UNITS[head]} {name}" + (f"{between}{spell(rest, joint)}" if rest else "")


def read_number(words: str) -> int | float | None:
    """Return the number that digits or English words stand for, None if they are none: the inverse of `spell`."""
    if _DIGITS.fullmatch(words):
        return float(words) if "." in words else int(words)
    text = words.casefold()
    for sign in ("minus ", "negative "):
        if text.startswith(sign):
            number = read_number(text.removeprefix(sign))
            return None if number is None else -number
    whole, point, decimals = text.partition(" point ")
    number = _spelled().get(whole)
    if not point or number is None:
        return number
    digits = [_spelled().get(word, 10) for word in decimals.split(" ")]
    return float(f"{number}.{''.join(map(str, digits))}") if max(digits) < 10 else None


@cache
def _spelled() -> dict[str, int]:
    """Return the numbers by their words."""
    return {spell(number, joint): number for number in range(_LARGEST) for joint in ("", "and")}


def folded(sentence: str) -> str:
    """Return a sentence without what makes no other sentence: case, spaces and a final stop."""
    return " ".join(sentence.casefold().strip().removesuffix(".").split())


def camel_case(words: str) -> str:
    """Return the identifier for English words: `testData` for `test data`, `gpuBuffer` for `GPU buffer`."""
    first, *others = words.split()
    first = first.lower() if first.isupper() else first[:1].lower() + first[1:]
    return first + "".join(word.capitalize() for word in others)


def plural(noun: str) -> str:
    """Return the plural of a regular noun."""
    if re.search(r"(?:[sxz]|ch|sh)$", noun):
        return f"{noun}es"
    if re.search(r"[^aeiou]y$", noun):
        return f"{noun[:-1]}ies"
    return f"{noun}s"
