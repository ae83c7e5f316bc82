"""Read conversions that are written as instructions: a question, and its answer.

    Convert to LC-T: null                      NULL
    Convert {level: 3} to LC-R                 ◇level: 3◆
    HLXL: 0                                    LC-R: 0, LC-T: 0 and LC-B: [0x00], a line each

Both sides must be values, and the format of the answer must be named. That of a value in a question is the one in which
it has the value of the answer.
"""

import re
from collections.abc import Iterator, Mapping
from itertools import islice

from hlx_model.corpus.labels import labelled
from hlx_model.corpus.parts import Labelled
from hlx_model.corpus.rules import may_be_hlx, values
from hlx_model.language import Format, same

_NAMES = "|".join(format.spellings for format in Format)
_NAMED = re.compile(rf"(?<![\w-])({_NAMES})(?![\w-])", re.IGNORECASE)
_INTO = re.compile(rf"(?:\b(?:to|into|in|as)|→|->|=>)\s+(?:the\s+)?({_NAMES})(?![\w-])", re.IGNORECASE)
_ENDS = re.compile(r"\s(?:(?:to|into|in|as)\s|→|->|=>)")
_TEMPLATE = re.compile(
    r"^[ \t]*#{1,6}[ \t]*(?:instruction|input|question|prompt|response|output|answer)s?[ \t]*:?", re.IGNORECASE | re.M
)
_CODE = re.compile(r"```[^\n`]*\n(.+?)\n?```|`([^`]+)`", re.DOTALL)
_WORDS = 12
"""A value that is followed by words such as `to LC-R` begins within so many words."""
_CANDIDATES = 400
"""So many parts of a question are tried."""


class NoValueError(ValueError):
    """A side is no value in a format that is named. The message says why."""


def values_by_label(asked: str, answer: str) -> dict[str, str]:
    """Return the texts of a question and its answer by label: the tag of a format, or `English`.

    Raises:
        NoValueError: a side is no value in a format that is named.
    """
    asked, answer = _without_template(asked), _without_template(answer)
    given, answered = _labelled(asked), _labelled(answer)
    if not answered:
        named = _INTO.findall(asked) or ([] if given else _NAMED.findall(asked))
        if not named:
            raise NoValueError("the answer is in no format that is named")
        code = _CODE.fullmatch(answer)
        answered = {str(Format(named[-1])): (code[1] or code[2]) if code else answer}
    if any(not may_be_hlx(text) for label, text in answered.items() if label in list(Format)):
        raise NoValueError("the answer is no HLX")
    given = given or _value_in(asked, answered)
    if not given:
        raise NoValueError("the question contains none")
    if twice := [label for label, text in given.items() if answered.get(label, text) != text]:
        raise NoValueError(f"question and answer are both {twice[0]}, and differ")
    return given | answered


def _without_template(text: str) -> str:
    """Return a text from its first heading such as `### Instruction:`, without these headings."""
    if first := _TEMPLATE.search(text):
        text = text[first.start() :]
    return _TEMPLATE.sub("", text).strip()


def _labelled(text: str) -> dict[str, str]:
    """Return the labelled texts of a side, such as its line `HLXL: 0`."""
    parts = labelled(text.splitlines(), {})
    return {part.label: part.text for part in parts if isinstance(part, Labelled) and part.label and part.lines}


def _value_in(asked: str, answered: Mapping[str, str]) -> dict[str, str]:
    """Return the value in a question by its format: if possible the value of the answer, else the first one."""
    expected = [values(text)[Format(f)] for f, text in answered.items() if f in map(str, values(text))]
    first: dict[str, str] = {}
    for text in islice(_candidates(asked), _CANDIDATES):
        found = values(text)
        formats = sorted(found, key=lambda format: format in answered)
        for format in formats:
            if any(same(found[format], value) for value in expected):
                return {str(format): text}
        first = first or {str(format): text for format in formats[:1]}
    return first


def _candidates(asked: str) -> Iterator[str]:
    """Yield the parts of a question that may be its value: code, what follows a colon, what precedes `to LC-R`."""
    yield from (code[1] or code[2] for code in _CODE.finditer(asked))
    yield from (asked[colon.end() :].strip() for colon in re.finditer(":", asked))
    ends = [*(end.start() for end in _ENDS.finditer(asked)), len(asked.rstrip("?.!"))]
    starts = [word.start() for word in islice(re.finditer(r"\S+", asked), _WORDS)]
    yield from (asked[start:end].strip() for end in reversed(ends) for start in starts if start < end)
