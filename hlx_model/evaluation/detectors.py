"""Text detectors: they tell the outputs of broken models from those of healthy ones.

They judge strings, without a model. `parroting`, `collapse` and `scrambled` return a share each; `diagnose` compares
them with the thresholds, in the order that gives an answer its one right name:

    >>> diagnose("Search for documents", 'Search for documents000:{@rorm"s"🜁1 &doch1')
    'scrambled'

Only the parser decides whether a text is HLX, never its punctuation. A text that parses in some format is not broken,
however odd it looks (`🜃1, 1, 1, 1, 1, 1, 1, 1, 1🜄`), though it may be wrong.
"""

import re
from collections.abc import Iterator
from difflib import SequenceMatcher
from functools import cache
from itertools import pairwise, product
from math import ceil
from typing import Literal, NamedTuple

from hlx_model.corpus import parses
from hlx_model.evaluation.thresholds import T
from hlx_model.language import GRAMMARS, Contract, Format, Handle, Value, render

Fault = Literal["parroting", "collapse", "scrambled"]


class Outputs(NamedTuple):
    """The outputs of a model, in which the detectors look for broken ones."""

    what: str
    """`texts`, `completions` or `answers`."""
    faults: list[tuple[str, Fault | None]]
    """Each output in which the detectors looked, and what is wrong with it."""
    samples: int
    """The number of all outputs, right ones included."""


_MIN_ECHO = 4
"""A text may begin with a prompt of fewer symbols by chance (`5` and `[5]`)."""
_MAX_UNIT = 24
_MIN_STRETCH = 8
_FULL_STRETCH = 24
_REPEATED = [
    re.compile(rf"(.{{{unit}}})\1{{{max(3, ceil(_MIN_STRETCH / unit)) - 1},}}", re.DOTALL)
    for unit in range(1, _MAX_UNIT + 1)
]
"""One pattern for each length of the unit: a search for the shortest unit would find only four colons in `::::pppp`."""

_RUN = re.compile(r"(.)\1{3,}", re.DOTALL)

_MIN_JOINTS = 8
"""A text with fewer joints counts as one with this many: two invalid joints of three prove nothing."""
# The prefixes of bytes (those in quotes are strings here), and the constants that are not letters.
_BYTES = "|".join(sorted({re.escape(g.bytes_prefix) for g in GRAMMARS.values() if '"' not in g.bytes_prefix}))
_GLYPHS = "|".join(word for g in GRAMMARS.values() for word in (g.null, g.true, g.false) if not word.isascii())
_TOKEN = re.compile(
    rf"""
      (?P<string> (?<!\w)b?"(?:[^"\\\n]|\\.)*" | "(?:[^"\\\n]|\\.)*"(?!\w)    # not between two words,
                | (?<!\w)b?"(?:[\w\ .,'/-]|\\.)*\\?\Z )                       # or cut off
    | (?P<number> -?(?:0x[0-9A-Fa-f]+|(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[Ee][+-]?[0-9]+)?)(?!\w) )
    | (?P<bytes>  (?:{_BYTES})\w+ )
    | (?P<word>   [A-Za-z_]\w* | {_GLYPHS} )
    | (?P<symbol> \S )
    """,
    re.VERBOSE,
)
_ENGLISH_CHUNK = re.compile(
    r"""
      [-+*/=<>&|%]                                                        # an operator by itself
    | (?=\S*[A-Za-z]) (?: [\w.*-]* (?: /[\w.*-]+ )+ | [\w-]*\*[\w.*-]+ )    # ../data/notes.txt, docs/*.md, *.csv
    | (?: ["'(\[{<]*[/\#&@$\\"]*[A-Za-z_]\w* | ["'(]*[-+$]?(?:0|[1-9][0-9]*) )
      (?: (?: [-.,'@=|+] | :?[/\\]{1,2} | (?<=[0-9]):(?=[0-9]) ) \w+ )*  # user.name, 3.14, a=b, C:\\temp, 10:30
      [%\\"')\]}>]* [.,:;?!]*
    """,
    re.VERBOSE,
)
_SPACED = {"word", "number"}
"""Kinds of tokens that English writes next to each other, with a space between them."""


def diagnose(given: str, written: str, expected: str | None = None) -> Fault | None:
    """Return what is wrong with an answer, by its one right name; None if the detectors find nothing.

    The part of an answer after the echo of its prompt names the fault: garbage is `collapse` or `scrambled`, nothing or
    dots is `parroting`. A text that parses in any format is not scrambled. Without an expected answer it is neither
    collapsed nor a parrot: a value may be written alike in prompt and answer, and may itself be a run. An empty text,
    and dots alone, have no name here; the parse rate counts them.

    Args:
        given: the text to answer, without tag and arrow. "" for a text that answers nothing, and for a completion,
            which is judged together with its prefix.
        written: the answer, with or without the prompt before it.
        expected: the right answer, if there is one.
    """
    text = _core(written)
    added = text.removeprefix(given.strip())
    if expected is not None and _core(expected) in (text, added.strip()):
        return None
    if any(parses(text, format) for format in Format):
        if expected is None:
            return None
        collapsed = _collapsed(text) and not _collapsed(expected)
        return "parroting" if _is_parrot(given, text, expected) else "collapse" if collapsed else None
    if _collapsed(added):
        return "collapse"
    if scrambled(added) >= T.max_invalid_joint_share:
        return "scrambled"
    return "parroting" if _is_parrot(given, text, expected) else None


def _collapsed(text: str) -> bool:
    return collapse(text) >= T.max_repeated_share


def _is_parrot(given: str, written: str, expected: str | None) -> bool:
    return parroting(given, written, expected) >= T.max_prompt_similarity


def parroting(given: str, written: str, expected: str | None = None) -> float:
    """Return how similar a text is to what was given, ignoring case (`difflib`'s ratio).

    It is 1 if the text begins with what was given, 0 if the text is at least as similar to what is expected, since two
    formats may write a value alike.
    """
    given, text = _core(given), _core(written)
    similarity = _similarity(given, text)
    if len(given) >= _MIN_ECHO and text.startswith(given):
        similarity = 1.0
    if expected is not None and _similarity(_core(expected), text) >= similarity:
        return 0.0
    return similarity


def collapse(written: str) -> float:
    """Return the share of a text that repeats one symbol, or one short unit (`::::pppp::::pppp`).

    It is the longer of two lengths, as a share of the text (of 24 symbols if the text is longer): the longest
    stretch that repeats one unit (at most 24 symbols, three times or more, at least 8 symbols in all), or all runs of
    one symbol (at least 4 symbols each, 8 in all).
    """
    text = _core(written)
    longest = max((len(found.group()) for pattern in _REPEATED for found in pattern.finditer(text)), default=0)
    runs = sum(len(found.group()) for found in _RUN.finditer(text))
    longest = max(longest, runs if runs >= _MIN_STRETCH else 0)
    return min(1.0, longest / max(1, min(len(text), _FULL_STRETCH)))


def scrambled(written: str) -> float:
    """Return the share of a text that is put together as neither English nor any format puts texts together.

    The text is cut into tokens (strings, numbers, words, symbols). It is the share of the joints, from one token to the
    next, that neither English nor the format that explains most of them ever writes. At least 8 joints are counted,
    since a single slip breaks two or three.
    """
    tokens = list(_tokens(_core(written)))
    foreign = [(left.kind, right.kind) for left, right in pairwise(tokens) if not _joined_in_english(left, right)]
    invalid = min(sum(joint not in _joints_of(format) for joint in foreign) for format in Format)
    return invalid / max(len(tokens) - 1, _MIN_JOINTS)


def _core(text: str) -> str:
    """Return the text without the space around it and the dots that end it; dots alone are kept."""
    text = text.strip()
    return text.rstrip(".").rstrip() or text


def _similarity(one: str, other: str) -> float:
    matcher = SequenceMatcher(None, one.casefold(), other.casefold(), autojunk=False)
    return matcher.ratio() if one and other else 0.0


class _Token(NamedTuple):
    kind: str
    """The group of `_TOKEN`; a symbol is a kind of its own."""
    english: bool
    """It is in a chunk of English."""
    spaced: bool
    """A space precedes it."""


def _tokens(text: str) -> Iterator[_Token]:
    """Yield the tokens of a text; its start is the first."""
    english = [chunk.span() for chunk in re.finditer(r"\S+", text) if _ENGLISH_CHUNK.fullmatch(chunk.group())]
    covered = {place for start, stop in english for place in range(start, stop)}
    yield _Token("start", True, False)
    for token in _TOKEN.finditer(text):
        kind, start = token.lastgroup or "", token.start()
        spaced = text[start - 1 : start].isspace()
        yield _Token(token.group() if kind == "symbol" else kind, start in covered, spaced)


def _joined_in_english(left: _Token, right: _Token) -> bool:
    return (left.english and right.english) or (right.spaced and {left.kind, right.kind} <= _SPACED)


@cache
def _joints_of(format: Format) -> frozenset[tuple[str, str]]:
    """Return the joints of a format, as it renders each kind of value beside each other kind in each container."""
    leaves: list[Value] = [None, 7, "text", b"\0", Handle("name"), [], {}, Contract(1, ())]
    values = leaves + _containers(7, 7)
    pairs = [around for one, other in product(values, repeat=2) for around in _containers(one, other)]
    kinds = ([token.kind for token in _tokens(render(value, format))] for value in leaves + pairs)
    return frozenset(joint for line in kinds for joint in pairwise(line))


def _containers(one: Value, other: Value) -> list[Value]:
    return [[one, other], {"a": one, "b": other}, Contract(1, ((0, one), (1, other)))]
