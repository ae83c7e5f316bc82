"""Text detectors: they tell the outputs of broken models from those of healthy ones.

They judge strings, without a model: `parroting`, `collapse` and `scrambled` one text, `diversity` several. `diagnose`
applies the first three in the order that gives an answer its one right name:

    >>> diagnose("Search for documents", 'Search for documents000:{@rorm"s"🜁1 &doch1').name
    'scrambled'

Only the parser decides whether a text is HLX, never its punctuation. A text that parses in some format is not broken,
however odd it looks (`🜃1, 1, 1, 1, 1, 1, 1, 1, 1🜄`), though it may be wrong.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import cache
from itertools import pairwise, product
from math import ceil

from hlx_model.corpus import parses
from hlx_model.evaluation.thresholds import T
from hlx_model.language import GRAMMARS, Contract, Format, Handle, Value, render


@dataclass(frozen=True)
class Detection:
    """What one detector found in a text, or in several."""

    name: str
    """The detector: `parroting`, `collapse`, `scrambled` or `diversity`."""
    found: bool
    """The text is broken in this way. For `diversity`: the texts do not differ enough."""
    value: float
    threshold: float
    reason: str
    """One line for a person: what was measured, its value and the threshold."""


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
_CHUNK = re.compile(r"\S+")
_ENGLISH_CHUNK = re.compile(
    r"""
      [-+*/=<>&|%]                                                        # an operator by itself
    | (?: ["'(\[{<]*[/\#&@$\\"]*[A-Za-z_]\w* | ["'(]*[-+$]?(?:0|[1-9][0-9]*) )
      (?: (?: [-.,'@=|+] | :?[/\\]{1,2} | (?<=[0-9]):(?=[0-9]) ) \w+ )*  # user.name, 3.14, a=b, C:\\temp, 10:30
      [%\\"')\]}>]* [.,:;?!]*
    """,
    re.VERBOSE,
)
_SPACED = {"word", "number"}
"""Kinds of tokens that English writes next to each other, with a space between them."""


def diagnose(given: str, written: str, expected: str | None = None) -> Detection | None:
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
        detections = []
        if expected is not None:
            collapsed = [] if collapse(expected).found else [collapse(text)]
            detections = [parroting(given, text, expected), *collapsed]
    else:
        detections = [collapse(added), scrambled(added), parroting(given, text, expected)]
    return next((detection for detection in detections if detection.found), None)


def parroting(given: str, written: str, expected: str | None = None) -> Detection:
    """Detect a text that begins with all of what was given, or is nearly the same.

    The value is their similarity, ignoring case (`difflib`'s ratio): 1 if the text begins with what was given, 0 if the
    text is at least as similar to what is expected, since two formats may write a value alike.
    """
    given, text = _core(given), _core(written)
    similarity = _similarity(given, text)
    if len(given) >= _MIN_ECHO and text.startswith(given):
        similarity = 1.0
    if expected is not None and _similarity(_core(expected), text) >= similarity:
        similarity = 0.0
    what = f"similarity to what was given ({given[:40]!r})"
    return _detection("parroting", similarity, T.max_prompt_similarity, written, what)


def collapse(written: str) -> Detection:
    """Detect a text that repeats one symbol, or one short unit (`::::pppp::::pppp`).

    The value is the longer of two lengths, as a share of the text (of 24 symbols if the text is longer): the longest
    stretch that repeats one unit (at most 24 symbols, three times or more, at least 8 symbols in all), or all runs of
    one symbol (at least 4 symbols each, 8 in all).
    """
    text = _core(written)
    longest = max((len(found.group()) for pattern in _REPEATED for found in pattern.finditer(text)), default=0)
    runs = sum(len(found.group()) for found in _RUN.finditer(text))
    longest = max(longest, runs if runs >= _MIN_STRETCH else 0)
    whole = min(len(text), _FULL_STRETCH)
    share = min(1.0, longest / max(1, whole))
    what = f"share of one repeated symbol or unit ({longest} of {whole} symbols)"
    return _detection("collapse", share, T.max_repeated_share, written, what)


def scrambled(written: str) -> Detection:
    """Detect a text that is put together as neither English nor any format puts texts together.

    The text is cut into tokens (strings, numbers, words, symbols). The value is the share of its joints, from one token
    to the next, that neither English nor the format that explains most of them ever writes. At least 8 joints are
    counted, since a single slip breaks two or three.
    """
    text = _core(written)
    tokens = list(_tokens(text))
    foreign = [(left.kind, right.kind) for left, right in pairwise(tokens) if not _joined_in_english(left, right)]
    invalid = min(sum(joint not in _joints_of(format) for joint in foreign) for format in Format)
    joints = len(tokens) - 1
    share = invalid / max(joints, _MIN_JOINTS)
    what = f"share of joints that neither English nor one format writes ({invalid} of {joints})"
    return _detection("scrambled", share, T.max_invalid_joint_share, written, what)


def diversity(texts: Sequence[str], corpus_texts: int) -> Detection:
    """Detect sampled texts that differ from each other less than texts of the corpus would.

    `s` texts drawn at random from a corpus of `n` texts contain n (1 - (1 - 1/n)^s) different ones. The value is the
    number of distinct texts as a share of that, at most 1.

    Args:
        texts: the sampled texts; at least one.
        corpus_texts: the number of texts in the corpus; at least one.
    """
    expected = max(1, round(corpus_texts * (1 - (1 - 1 / corpus_texts) ** len(texts))))
    distinct = len(set(texts))
    share, limit = min(1.0, distinct / expected), T.min_distinct_share
    reason = f"{distinct} distinct texts among {len(texts)}, {share:.2f} of the {expected} that the corpus would give"
    return Detection("diversity", share < limit, share, limit, f"{reason} (required ≥ {limit:.2f})")


def _detection(name: str, value: float, threshold: float, written: str, what: str) -> Detection:
    reason = f"{what} {value:.2f}, required < {threshold:.2f}: {written[:40]!r}"
    return Detection(name, value >= threshold, value, threshold, reason)


def _core(text: str) -> str:
    """Return the text without the space around it and the dots that end it; dots alone are kept."""
    text = text.strip()
    return text.rstrip(".").rstrip() or text


def _similarity(one: str, other: str) -> float:
    matcher = SequenceMatcher(None, one.casefold(), other.casefold(), autojunk=False)
    return matcher.ratio() if one and other else 0.0


@dataclass(frozen=True)
class _Token:
    kind: str
    """The group of `_TOKEN`; a symbol is a kind of its own."""
    english: bool
    """It is in a chunk of English."""
    spaced: bool
    """A space precedes it."""


def _tokens(text: str) -> Iterator[_Token]:
    """Yield the tokens of a text; its start is the first."""
    english = [chunk.span() for chunk in _CHUNK.finditer(text) if _ENGLISH_CHUNK.fullmatch(chunk.group())]
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
