"""How English writes the numbers and names of the composed corpus."""

_UNITS = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven"),
    *("twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"),
)
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
NUMBER_WORDS = (*_UNITS, *_TENS, "hundred", "thousand")
"""All words that `spell` writes numbers with, beside "minus" and "point"."""


def spell(number: int | float) -> str:
    """Return a number in English words: `forty-two`, `minus ten`, `three point one four`.

    It writes no "and" ("one hundred five"), so that a list can say "three and five" unambiguously.

    Args:
        number: below 20,000 in magnitude. The digits of a float are those of its `repr`, one word each.

    Raises:
        ValueError: the number is too large, or its `repr` has an exponent.
    """
    if abs(number) >= 20_000 or "e" in repr(number):
        raise ValueError(f"the number {number!r} cannot be spelled: it must be below 20,000, without an exponent")
    if number < 0:
        return f"minus {spell(-number)}"
    if isinstance(number, float):
        whole, decimals = repr(number).split(".")
        return f"{spell(int(whole))} point {' '.join(_UNITS[int(digit)] for digit in decimals)}"
    if number < 20:
        return _UNITS[number]
    if number < 100:
        tens, unit = divmod(number, 10)
        return _TENS[tens - 2] + (f"-{_UNITS[unit]}" if unit else "")
    scale, name = (1000, "thousand") if number >= 1000 else (100, "hundred")
    head, rest = divmod(number, scale)
    return f"{_UNITS[head]} {name}" + (f" {spell(rest)}" if rest else "")


def camel_case(words: str) -> str:
    """Return the identifier for English words: `testData` for `test data`."""
    first, *others = words.split()
    return first + "".join(word.capitalize() for word in others)
