"""Text detectors: what broken models on record wrote, told from what healthy ones write.

They judge strings, without a model: `parroting`, `collapse` and `scrambled` one text, `diversity` several.
`diagnose` asks the first three in the order that gives an answer its one right name:

    >>> diagnose("Search for documents", 'Search for documents000:{@rorm"s"🜁1 &doch1').name
    'scrambled'

Whether a text is HLX is a question for the parser, never for its punctuation: what parses in some format
is not broken, however odd it looks (`🜃1, 1, 1, 1, 1, 1, 1, 1, 1🜄`), though it may be wrong.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import cache
from itertools import pairwise, product
from math import ceil

from hlx_model.corpus import parses
from hlx_model.evaluation.thresholds import Thresholds
from hlx_model.language import GRAMMARS, Contract, Format, Handle, Value, render


@dataclass(frozen=True)
class Detection:
    """What one detector says of a text, or of several."""

    name: str
    """The detector: `parroting`, `collapse`, `scrambled` or `diversity`."""
    found: bool
    """The text is broken in that way; of `diversity`, the texts do not differ enough."""
    figure: float
    threshold: float
    reason: str
    """One line for a person: the figure, the threshold and what they are about."""


THRESHOLDS = Thresholds()

_ECHO_LEAST = 4
"""Symbols of a prompt below which a text may begin with it by chance (`5` and `[5]`)."""
_UNIT_MOST = 24
_STRETCH_LEAST = 8
_STRETCH_FULL = 24
_REPEATED = [
    re.compile(rf"(.{{{unit}}})\1{{{max(3, ceil(_STRETCH_LEAST / unit)) - 1},}}", re.DOTALL)
    for unit in range(1, _UNIT_MOST + 1)
]
"""One pattern a length of the unit: a search for the shortest unit would take `::::pppp` for four colons."""

_RUN = re.compile(r"(.)\1{3,}", re.DOTALL)

_JOINTS_LEAST = 8
"""A text of fewer joints is counted as one of so many: two strange ones of three are no sign."""
# How formats begin bytes (those in quotes are strings here), and the constants that are no letters.
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
"""Kinds of tokens that stand beside each other in English, with space between them."""


def diagnose(given: str, written: str, expected: str | None = None) -> Detection | None:
    """What is wrong with an answer, by its one right name; None where nothing is that these detectors know.

    What an answer adds to its prompt's echo names it: garbage is `collapse` or `scrambled`, nothing or dots is
    `parroting`. A text that parses in any format is not scrambled. Where nothing is expected it is not collapsed and no
    parrot either: a value may be given and asked for in the same words, and be a run itself. No text at all, and dots
    alone, have no name here: a parse rate sees them.

    Args:
        given: what was to be answered, without tag and arrow. "" for a text that answers nothing, or for a
            completion, which is judged together with its prefix.
        written: the answer, with or without the prompt before it.
        expected: the right answer, where there is one.
    """
    text = _core(written)
    added = text.removeprefix(given.strip())
    if expected is not None and _core(expected) in (text, added.strip()):
        return None
    if any(parses(text, format) for format in Format):
        asked = []
        if expected is not None:
            asked = [parroting(given, text, expected), *([] if collapse(expected).found else [collapse(text)])]
    else:
        asked = [collapse(added), scrambled(added), parroting(given, text, expected)]
    return next((finding for finding in asked if finding.found), None)


def parroting(given: str, written: str, expected: str | None = None) -> Detection:
    """The text is what was given, again: begins with all of it, or is nearly the same.

    The figure is their similarity, in whatever case (`difflib`'s ratio), 1 for a text that begins with what was
    given, 0 where the text is at least as similar to what was expected: the same value may be written alike in two
    formats.
    """
    given, text = _core(given), _core(written)
    figure = _similarity(given, text)
    if len(given) >= _ECHO_LEAST and text.startswith(given):
        figure = 1.0
    if expected is not None and _similarity(_core(expected), text) >= figure:
        figure = 0.0
    return _finding(
        "parroting", figure, THRESHOLDS.max_prompt_similarity, written, f"is like what was given, {given[:40]!r}"
    )


def collapse(written: str) -> Detection:
    """The text runs on in one symbol, or in one short unit over and over (`::::pppp::::pppp`).

    The figure is what is the longer, as a share of the text, or of 24 symbols where the text is longer: the longest
    stretch that repeats one unit (of at most 24 symbols, three times or more, 8 symbols or more), or all runs of one
    symbol (of 4 symbols or more, 8 together or more).
    """
    text = _core(written)
    longest = max((len(found.group()) for pattern in _REPEATED for found in pattern.finditer(text)), default=0)
    runs = sum(len(found.group()) for found in _RUN.finditer(text))
    longest = max(longest, runs if runs >= _STRETCH_LEAST else 0)
    whole = min(len(text), _STRETCH_FULL)
    figure = min(1.0, longest / max(1, whole))
    what = f"runs on in one symbol or unit over {longest} symbols ({whole} would be all)"
    return _finding("collapse", figure, THRESHOLDS.max_repeated_share, written, what)


def scrambled(written: str) -> Detection:
    """The text is put together as neither English nor any format puts texts together.

    It is cut into tokens (strings, numbers, words, symbols). The figure is the share of its joints, from one token
    to the next, that neither English nor the format that explains most of them ever writes; of at least 8
    joints, since a single slip breaks two or three.
    """
    text = _core(written)
    tokens = list(_tokens(text))
    foreign = [(left.kind, right.kind) for left, right in pairwise(tokens) if not _joined_in_english(left, right)]
    strange = min(sum(joint not in _joints_of(format) for joint in foreign) for format in Format)
    joints = len(tokens) - 1
    figure = strange / max(joints, _JOINTS_LEAST)
    what = f"has {strange} of {joints} joints between tokens that neither English nor one format writes"
    return _finding("scrambled", figure, THRESHOLDS.max_invalid_joint_share, written, what)


def diversity(texts: Sequence[str], corpus_texts: int) -> Detection:
    """Sampled texts differ from each other less than texts of the corpus would.

    Drawn at random from a corpus of n texts, s of them hold n (1 - (1 - 1/n)^s) different ones. The figure is the
    distinct texts as a share of those, at most 1.

    Args:
        texts: what was sampled; at least one.
        corpus_texts: how many texts the corpus has; at least one.
    """
    expected = max(1, round(corpus_texts * (1 - (1 - 1 / corpus_texts) ** len(texts))))
    distinct = len(set(texts))
    figure = min(1.0, distinct / expected)
    reason = f"{distinct} distinct texts among {len(texts)}, of the {expected} that the corpus would give: {figure:.2f}"
    reason += f"; at least {THRESHOLDS.min_distinct_share:.2f} is asked"
    return Detection("diversity", figure < THRESHOLDS.min_distinct_share, figure, THRESHOLDS.min_distinct_share, reason)


def _finding(name: str, figure: float, threshold: float, written: str, what: str) -> Detection:
    reason = f"{written[:40]!r} {what}: {figure:.2f}; below {threshold:.2f} is asked"
    return Detection(name, figure >= threshold, figure, threshold, reason)


def _core(text: str) -> str:
    """The text without the space around it and the dots that end it; dots alone stay."""
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
    """It stands in a chunk of English."""
    spaced: bool
    """There is space before it."""


def _tokens(text: str) -> Iterator[_Token]:
    """The start of the text, which is a token too, and those of the text."""
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
    """The joints of a format, read off what it renders: each kind of value beside each other, in each container."""
    leaves: list[Value] = [None, 7, "text", b"\0", Handle("name"), [], {}, Contract(1, ())]
    values = leaves + _containers(7, 7)
    pairs = [around for one, other in product(values, repeat=2) for around in _containers(one, other)]
    kinds = ([token.kind for token in _tokens(render(value, format))] for value in leaves + pairs)
    return frozenset(joint for line in kinds for joint in pairwise(line))


def _containers(one: Value, other: Value) -> list[Value]:
    return [[one, other], {"a": one, "b": other}, Contract(1, ((0, one), (1, other)))]
