"""Score an answer: strictly by its text, leniently by its value.

Strict: the text is the canonical text of a right value, to the letter. Lenient: without white space around it, and
without the backquotes or the code fence that chat models like, it parses and is a right value, however it is spelled.
"""

import re
from collections.abc import Sequence

from hlx_model.baselines.sample import SampleRow
from hlx_model.corpus import ENGLISH, parses
from hlx_model.language import Format, parse, same
from hlx_model.reporting.models import Translation

_FENCE = re.compile(r"```[\w-]*\n(.*)\n?```", re.DOTALL)
_QUOTED = re.compile(r"`([^`]*)`")


def score(row: SampleRow, written: str) -> Translation:
    """Return an answer to a row with what is right in it; `exact` is strict, `same_value` and `parses` are lenient."""
    # JSON can contain half a surrogate pair, which no file can.
    written = written.encode(errors="replace").decode()
    text = _bare(written)
    well_formed = parses(text, row.format)
    return Translation(
        target=row.format, source=ENGLISH, prompt=row.prompt, expected=row.right[0], written=written,
        exact=written in row.right, parses=well_formed,
        same_value=well_formed and _is_one_of(text, row.right, row.format),
    )  # fmt: skip


def _bare(written: str) -> str:
    """Return an answer without white space, backquotes and a code fence around it."""
    text = written.strip()
    match = _FENCE.fullmatch(text) or _QUOTED.fullmatch(text)
    return match[1].strip() if match else text


def _is_one_of(text: str, right: Sequence[str], format: Format) -> bool:
    value = parse(text, format)
    return any(same(value, parse(one, format)) for one in right)
