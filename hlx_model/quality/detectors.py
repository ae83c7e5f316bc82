"""Text detectors: what broken models on record wrote, told from what healthy ones write.

They judge one text; whether HLX is well formed is not for them but for the parser.
"""

import math
import re
from difflib import SequenceMatcher

_RUN = re.compile(r"(.)\1{9,}", re.DOTALL)
_REPEATED_LEAST = 24
# One pattern a length of the unit: a search for the shortest unit would take `::::pppp` for four colons.
_REPEATED = [
    re.compile(rf"(.{{{unit}}})\1{{{math.ceil(_REPEATED_LEAST / unit) - 1},}}", re.DOTALL) for unit in range(2, 9)
]
_PAIR_LEAST = 12
_SIMILAR = 0.9


def collapsed(text: str) -> bool:
    """The text runs on in one or two symbols, or in one short unit over and over (`::::pppp::::pppp`).

    That is: a symbol 10 times in a row, 12 or more symbols of at most two kinds, or a unit of at most 8
    symbols repeated over 24 or more. A correct answer may look so (`🜃1, 1, 1, 1, 1, 1, 1, 1, 1🜄`):
    ask only about answers that are not right.
    """
    text = text.strip(" .")
    if _RUN.search(text):
        return True
    if len(text) >= _PAIR_LEAST and len(set(text)) <= 2:
        return True
    return any(repeated.search(text) for repeated in _REPEATED)


def parroted(given: str, answer: str) -> bool:
    """The answer is what was given, with or without dots after it: equal, or 90% alike."""
    given, answer = given.strip(), answer.strip().rstrip(".").strip()
    if not given or not answer:
        return False
    if answer.startswith(given) and len(given) >= 4:
        return True
    return SequenceMatcher(None, given, answer, autojunk=False).ratio() >= _SIMILAR
