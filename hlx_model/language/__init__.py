"""HLX: one value, four formats that say exactly the same thing; parse, render and convert them.

    >>> convert('{1000: {@0: "search", @1: &h_documents}}', Format.HLXL, Format.LC_T)
    '{C:1000,0="search",1=@documents}'

`values` holds what can be said, `grammar` what the four formats share, and `hlxl`, `lc_r`, `lc_t`
and `lc_b` how each says it. Rendering is canonical: one value, one text. Reading is liberal in spelling
(space between tokens, zero-padded or upper-case hexadecimal) and strict in everything else.

Where the description of HLX leaves a choice:

- White space is space, tab, line feed and carriage return: around a value and between tokens, never
  inside one. A prefix (`&h_`, `⊠`, `#` …) is part of its token; the mark of a field number is not.
- A float has digits on both sides of its point, as in JSON: `1.` and `.5` are refused.
- Contract ids and field numbers are decimal in every format, without leading zeros, below 2**63.
- Control characters are Unicode's (category Cc: C0, DEL and C1). A reader refuses them raw inside a
  string, as JSON does: a line break there is nearly always a quote that was never closed.
- The depth of a value is the number of arrays, objects and contracts around its innermost part.
- Python values are taken by exact type: subclasses (numpy floats, enumerations) are refused.
"""

from hlx_model.language.errors import HLXSyntaxError
from hlx_model.language.grammar import Grammar
from hlx_model.language.hlxl import HLXL
from hlx_model.language.lc_b import LCB
from hlx_model.language.lc_r import LCR
from hlx_model.language.lc_t import LCT
from hlx_model.language.values import Contract, Format, Handle, Value, same

__all__ = ["Contract", "Format", "HLXSyntaxError", "Handle", "Value", "convert", "parse", "render", "same"]

_GRAMMARS: dict[Format, Grammar] = {grammar.format: grammar for grammar in (HLXL(), LCR(), LCT(), LCB())}


def parse(text: str, format: Format) -> Value:
    """The value that `text` writes in `format`. Raises `HLXSyntaxError`, and nothing else, for other text."""
    return _GRAMMARS[format].parse(text)


def render(value: Value, format: Format) -> str:
    """The canonical text of `value` in `format`.

    Raises `ValueError` for what HLX cannot hold: NaN and infinities, integers beyond 64 bits, lone
    surrogates, keys that are no identifier or are `C`, more than 100 levels, other Python types.
    """
    return _GRAMMARS[format].render(value)


def convert(text: str, source: Format, target: Format) -> str:
    """`text`, written in `source`, in the canonical spelling of `target`. Raises `HLXSyntaxError`."""
    return render(parse(text, source), target)
