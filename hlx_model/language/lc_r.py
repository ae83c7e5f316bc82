"""LC-R, the runic format: `🜊1000🜁0 "search"🜁1 ⟁documents🜂`.

Its grammar without white space (`x , …` is any number of x with commas between, `(x)…` without):

    value    = ∅ / ⊤ / ⊥ / number / string / ⊠hexadecimal / ⟁name / contract / array / object
    contract = 🜊 id (🜁 number value)… 🜂
    array    = 🜃 value , … 🜄
    object   = ◇ key : value , … ◆

A field number is the longest run of digits after its 🜁. Only a space separates it from a number.
"""

import re

from hlx_model.language.formats import Format
from hlx_model.language.grammar import Grammar
from hlx_model.language.scanner import Scanner
from hlx_model.language.values import Contract


class LCR(Grammar):
    """Reads and writes LC-R, which has its own contracts."""

    format = Format.LC_R
    marks = "🜊🜁🜂🜃🜄◇◆⟁⊠∅⊤⊥:,"
    null, true, false = "∅", "⊤", "⊥"
    handle_prefix = "⟁"
    bytes_prefix = "⊠"
    array_brackets = "🜃", "🜄"
    object_brackets = "◇", "◆"
    gap = " "
    contract_start = re.compile("🜊")
    contract, field = "🜊{}{}🜂", "🜁{} {}"

    def _read_contract(self, s: Scanner, depth: int) -> Contract:
        id = s.natural("a contract id")
        return Contract(id, self._read_fields(s, s.marked("🜁", "🜂"), depth, after=""))


GRAMMAR = LCR()
