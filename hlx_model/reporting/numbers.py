"""How the reports for people show figures and texts, whatever a broken model made of them."""

import math
import unicodedata
from collections.abc import Mapping, Sequence

NOTHING = "–"
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
_PICTURES = {"\n": "⏎", "\t": "⇥", "\x7f": "␡"}


def finite(value: object) -> float | None:
    """The number that a figure of `report.json` is; None for no figure, NaN and infinities, which are named there."""
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def format_number(value: object) -> str:
    """A figure to four digits, or its name where it is not finite; a dash where there is none."""
    number = finite(value)
    if number is None:
        return NOTHING if value is None else escape_unseen(str(value))
    if number.is_integer() and abs(number) < 1e15:
        return f"{number:,.0f}".replace("-", "−")
    return (f"{number:,.0f}" if 1000 <= abs(number) < 1e6 else f"{number:.4g}").replace("-", "−")


def format_percent(value: object) -> str:
    """A rate as `98.4%`."""
    number = finite(value)
    return format_number(value) if number is None else f"{number:.1%}"


def format_interval(interval: Sequence[object] | None) -> str:
    """The interval of a rate as `94.4–99.6%`."""
    if interval is None:
        return NOTHING
    low, high = map(format_percent, interval)
    return f"{low.removesuffix('%')}–{high}"


def escape_unseen(text: str) -> str:
    """A text in which every character shows: control characters as pictures, other unseen ones as `⟨U+202E⟩`."""
    return "".join(_shown(c) if unicodedata.category(c) in _UNSEEN else c for c in text)


def _shown(character: str) -> str:
    code = ord(character)
    return _PICTURES.get(character) or (chr(0x2400 + code) if code < 0x20 else f"⟨U+{code:04X}⟩")


def answer_found(answer: Mapping[str, object]) -> tuple[str, str]:
    """What came of an example of a report, as a sign and in words."""
    if "words" in answer:
        return ("✓" if answer["known"] == answer["words"] else "✗"), f"{answer['known']} of {answer['words']} words"
    if answer.get("exact"):
        return "✓", "right"
    if answer.get("same_value"):
        return "≈", "same value"
    if not answer["parses"]:
        return "✗", "does not parse"
    return ("≠", "wrong") if "exact" in answer else ("✓", "parses")
