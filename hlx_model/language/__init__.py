"""HLX: one value, several formats that write exactly the same thing; parse, render and convert them.

    >>> convert('{1000: {@0: "search", @1: &h_documents}}', Format.HLXL, Format.LC_T)
    '{C:1000,0="search",1=@documents}'

`values` has what HLX can express, `formats` the names of the formats, `grammar` what all formats share; `hlxl`,
`lc_r`, `lc_t` and `lc_b` say how each writes it. Rendering is canonical: one value, one text. Reading accepts other
spellings (space between tokens, zero-padded or upper-case hexadecimal) and is strict in everything else.

These rules apply if the description of HLX leaves a choice:

- White space is space, tab, line feed and carriage return. It may be around a value and between tokens, never
  inside a token. A prefix (`&h_`, `⊠`, `#` …) is part of its token; the mark of a field number is not.
- A float has digits on both sides of its point, as in JSON: `1.` and `.5` are refused.
- Contract ids and field numbers are decimal in every format, without leading zeros, below 2**63.
- Control characters are Unicode's (category Cc: C0, DEL and C1). Inside a string they must be escaped, as in JSON:
  a line break there is nearly always a missing closing quote.
- The depth of a value is the number of arrays, objects and contracts around its innermost part.
- Python values must have the exact type: subclasses (numpy floats, enumerations) are refused.
"""

from importlib import import_module
from itertools import chain

from hlx_model.language.formats import Format
from hlx_model.language.grammar import Grammar
from hlx_model.language.scanner import HLXSyntaxError
from hlx_model.language.values import Contract, Handle, Value, same

__all__ = [
    "GRAMMARS", "Contract", "Format", "HLXSyntaxError", "Handle", "Value", "convert", "notation_at", "parse", "render",
    "same",
]  # fmt: skip

GRAMMARS: dict[Format, Grammar] = {f: import_module(f"{__name__}.{f.name.lower()}").GRAMMAR for f in Format}
"""How each format writes values; `GRAMMARS[format].marks` are the characters that it needs for it."""


def parse(text: str, format: Format) -> Value:
    """Return the value of a text in `format`.

    Raises:
        HLXSyntaxError: the format does not allow the text. No other error is raised for a text.
    """
    return GRAMMARS[format].parse(text)


def render(value: Value, format: Format) -> str:
    """Return the canonical text of a value in `format`.

    Raises:
        ValueError: HLX cannot express the value: NaN and infinities, integers beyond 64 bits, lone surrogates, keys
            that are no identifier or are `C`, more than 100 levels, other Python types.
    """
    return GRAMMARS[format].render(value)


def convert(text: str, source: Format, target: Format) -> str:
    """Return the canonical text in `target` of a text in `source`.

    Raises:
        HLXSyntaxError: `source` does not allow the text.
    """
    return render(parse(text, source), target)


def notation_at(error: HLXSyntaxError) -> Format | None:
    """Return the format whose notation is found where a text cannot be read in its own; None if it is none's."""
    text, position = error.text, error.position
    if position == len(text) or GRAMMARS[error.format].begins(text, position):
        return None
    others = [format for format in Format if format is not error.format]
    sign = text[position]
    return next(
        chain(
            (format for format in others if GRAMMARS[format].begins(text, position)),
            # A bracket that is never closed, a sign between values.
            (f for f in others if sign in GRAMMARS[f].marks and sign not in GRAMMARS[error.format].marks),
        ),
        None,
    )
