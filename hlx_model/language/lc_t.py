"""LC-T, the plain ASCII format: `{C:1000,0="search",1=@documents}`.

Its grammar without white space (`x , …` is any number of x with commas between, `(x)…` without):

    value    = NULL / TRUE / FALSE / number / string / #hexadecimal / @name / contract / array / object
    contract = { C : id (, number = value)… }
    array    = [ value , … ]
    object   = { key : value , … }
"""

import re

from hlx_model.language.formats import Format
from hlx_model.language.grammar import Grammar
from hlx_model.language.scanner import Scanner
from hlx_model.language.values import Contract


class LCT(Grammar):
    """Reads and writes LC-T, which has its own contracts."""

    format = Format.LC_T
    marks = "{}[]:,=@#"
    null, true, false = "NULL", "TRUE", "FALSE"
    handle_prefix = "@"
    bytes_prefix = "#"
    array_brackets = "[", "]"
    object_brackets = "{", "}"
    gap = ""
    contract_start = re.compile(r"\{[ \t\n\r]*C[ \t\n\r]*:")
    contract, field = "{{C:{}{}}}", ",{}={}"

    def _read_contract(self, s: Scanner, depth: int) -> Contract:
        id = s.natural("a contract id")
        return Contract(id, self._read_fields(s, s.marked(",", "}"), depth, after="="))


GRAMMAR = LCT()
