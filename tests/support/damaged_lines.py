"""Damaged lines of HLX, from a seed, which a parser must refuse or read in good time and without a crash.

    >>> next(mutants(LINES, count=1, seed=0))

A mutant is a correct line after one to four mutations. Small ones leave nearly correct text; long runs and deep nesting
have up to 16,384 characters, so that time that grows faster than the text is seen.
"""

from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import NamedTuple

from hlx_model.language import Contract, Format, Handle, Value, render

Line = tuple[Format, str]


class Mutant(NamedTuple):
    """A line, and the names of its mutations."""

    format: Format
    text: str
    mutations: tuple[str, ...]


VALUES: tuple[Value, ...] = (
    None,
    True,
    False,
    0,
    42,
    -(2**63),
    2**63 - 1,
    3.14159,
    -0.0,
    5e-324,
    1.7976931348623157e308,
    "",
    "hello",
    'quotes " and \\ and \n and \x85',
    "é😀\u2028🜂◆}]|,",
    b"",
    b'"\\ ~\x00\xff',
    Handle("ast"),
    [],
    [1, 2.5, -3, "x", None],
    [[], [[14]], {}],
    {},
    {"name": "Alice", "age": 30, "T": True, "null": None},
    Contract(14, ()),
    [Contract(14, ((0, 1),))],
    Contract(1000, ((0, "search"), (1, Handle("documents")))),
    Contract(902, ((0, "render_pipeline"), (1, [Handle("vs"), Handle("fs")]), (7, b"data"))),
    Contract(1, ((0, Contract(2, ((3, Contract(4, ())),))), (10, {"a": [None, {"b": Contract(5, ())}]}))),
)
LINES: tuple[Line, ...] = tuple((format, render(value, format)) for value in VALUES for format in Format)
"""Lines to mutate if there are no others: every kind of value in every format."""

_LONGEST = 16_384
_DEEPEST = 300
_NOTATION = "∅⊤⊥⊠⟁🜊🜁🜂🜃🜄◇◆→{}[]()|:=,@&#_\"'\\/+-.0123456789abefhnuxCEFTLNUR \t\r\n"
_TOKENS = (
    *("null", "true", "false", "NULL", "TRUE", "FALSE", "_", "T", "F", "C", "{C:", "{14: {", "[14|", "🜊14", "🜁0 "),
    *('b"', "&h_", "@0: ", "|0:", ",0=", "0x", "0xff", "-0", "1e5", "1e999", "01", "9223372036854775808", "NaN"),
    *(r"\u00e9", r"\ud83d\ude00", r"\ud800", r"\x4a", "\\", '""', "a: ", "<BOS>", " → "),
)
_RUNS = (*"0123456789", " ", "\n", "\t", *'{}[]|,:=@&#"\\-.', "🜃", "🜄", "🜊", "🜁", "◇", "◆", "a", "_", "f", "é", "😀")
_LONG_RUNS = (*_RUNS, r"\n", r"\"", r"\\", r"\u00e9", r"\ud83d\ude00", r"\x41", "1,", "1, ", '"",', "[],", "a:1,")
_NESTS = (
    *(("[", "]"), ("{a: ", "}"), ("{a:", "}"), ("{1: {@0: ", "}}"), ("🜃", "🜄"), ("◇a: ", "◆"), ("🜊1🜁0 ", "🜂")),
    *(("{C:1,0=", "}"), ("[1|0:", "]"), ("[1,", "]"), ("[ 1 ", "]"), ("{", "}"), ("(", ")")),
)


def mutants(lines: Sequence[Line], count: int, seed: int) -> Iterator[Line]:
    """Yield `count` mutants of `lines`, each in the format of its line. The same arguments give the same mutants."""
    for mutant in described_mutants(lines, count, seed):
        yield mutant.format, mutant.text


def described_mutants(lines: Sequence[Line], count: int, seed: int) -> Iterator[Mutant]:
    """Yield the mutants of `mutants` with their mutations."""
    rng = Random(seed)
    names = tuple(_MUTATIONS)
    for _ in range(count):
        format, text = rng.choice(lines)
        other = rng.choice(lines)[1]
        chosen = tuple(rng.choice(names) for _ in range(rng.choice((1, 1, 1, 2, 3, 4))))
        for name in chosen:
            text = _MUTATIONS[name](rng, text, other)
        yield Mutant(format, text, chosen)


def _place(rng: Random, text: str) -> int:
    return rng.randint(0, len(text))


def _span(rng: Random, text: str) -> tuple[int, int]:
    """Return a length: one or two characters, or any up to all of `text`."""
    start = _place(rng, text)
    return start, rng.choice((min(start + 1, len(text)), min(start + 2, len(text)), rng.randint(start, len(text))))


def _insert(rng: Random, text: str, what: str) -> str:
    place = _place(rng, text)
    return text[:place] + what + text[place:]


def _length(rng: Random, longest: int) -> int:
    """Return a length, as often between 10 and 100 as between 1,000 and 10,000."""
    return int(longest ** rng.random())


def _delete(rng: Random, text: str, other: str) -> str:
    start, stop = _span(rng, text)
    return text[:start] + text[stop:]


def _replace(rng: Random, text: str, other: str) -> str:
    start, stop = _span(rng, text)
    return text[:start] + _notation(rng) + text[stop:]


def _duplicate(rng: Random, text: str, other: str) -> str:
    start, stop = _span(rng, text)
    return text[:stop] + text[start:]


def _transpose(rng: Random, text: str, other: str) -> str:
    start, stop = _span(rng, text)
    end = rng.randint(stop, min(stop + 2, len(text)))
    return text[:start] + text[stop:end] + text[start:stop] + text[end:]


def _splice(rng: Random, text: str, other: str) -> str:
    return text[: _place(rng, text)] + other[_place(rng, other) :]


def _truncate(rng: Random, text: str, other: str) -> str:
    place = _place(rng, text)
    return rng.choice((text[:place], text[place:]))


def _put_in_place(rng: Random, text: str, other: str) -> str:
    start, stop = _span(rng, text)
    return text[:start] + other + text[stop:]


def _nest(rng: Random, text: str, other: str) -> str:
    """Put brackets around a part of the text; one time in four, not as many closed as opened."""
    opening, closing = rng.choice(_NESTS)
    depth = _length(rng, _DEEPEST)
    closed = depth if rng.random() < 0.75 else _length(rng, _DEEPEST)
    start, stop = rng.choice(((0, len(text)), _span(rng, text)))
    return text[:start] + opening * depth + text[start:stop] + closing * closed + text[stop:]


def _run(rng: Random, text: str, other: str) -> str:
    what = rng.choice(_LONG_RUNS)
    return _insert(rng, text, what * (_length(rng, _LONGEST) // len(what)))


def _two_runs(rng: Random, text: str, other: str) -> str:
    """Insert two adjacent runs repeatedly, over which a regular expression backtracks."""
    first, second = (rng.choice(_RUNS) * _length(rng, 64) for _ in range(2))
    return _insert(rng, text, (first + second) * _length(rng, _LONGEST // (len(first) + len(second))))


def _notation(rng: Random) -> str:
    if rng.random() < 0.5:
        return rng.choice(_TOKENS)
    return "".join(rng.choices(_NOTATION, k=rng.randint(1, 3)))


def _any_characters(rng: Random) -> str:
    """Return any character of Unicode: ASCII, Latin-1, surrogate halves, and the rest."""
    first, last = rng.choice(((0, 0x7F), (0x80, 0xFF), (0xD800, 0xDFFF), (0, 0xFFFF), (0, 0x10FFFF)))
    return "".join(chr(rng.randint(first, last)) for _ in range(rng.randint(1, 4)))


_MUTATIONS: dict[str, Callable[[Random, str, str], str]] = {
    "delete": _delete,
    "insert notation": lambda rng, text, other: _insert(rng, text, _notation(rng)),
    "insert Unicode": lambda rng, text, other: _insert(rng, text, _any_characters(rng)),
    "replace": _replace,
    "duplicate": _duplicate,
    "transpose": _transpose,
    "splice": _splice,
    "put another line in": _put_in_place,
    "truncate": _truncate,
    "nest": _nest,
    "long run": _run,
    "two long runs": _two_runs,
}
