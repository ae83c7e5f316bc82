"""LC-B, the training notation of the binary form: `[1000|0:"search"|1:&documents]`.

Its grammar without white space (`x , …` is any number of x, with commas between):

    document = contract / [ value ]          if the value is no contract, which has its own brackets
    value    = _ / T / F / integer / float / string / #hexadecimal / &name / contract / array / object
    contract = [ id | number : value | … ]
    array    = [ value , … ]
    object   = { key : value , … }
    integer  = 0xhexadecimal / decimal       negative only in decimal

So `[14|]` is a contract without fields, `[14]` the integer 14, `[[14]]` an array.
"""

import re

from hlx_model.language.formats import Format
from hlx_model.language.grammar import Grammar
from hlx_model.language.scanner import INTEGER_RANGE, NUMBER_ENDS, Scanner, read_number
from hlx_model.language.values import MAX_INTEGER, Contract, Value

_HEXADECIMAL = re.compile("0x([0-9A-Fa-f]+)" + NUMBER_ENDS)


class LCB(Grammar):
    """Reads and writes LC-B, which has its own contracts, integers and outermost brackets."""

    format = Format.LC_B
    marks = "[]{}|:,&#"
    ambiguous = True  # the string "a" is ["a"], which is an array in HLXL
    null, true, false = "_", "T", "F"
    handle_prefix = "&"
    bytes_prefix = "#"
    array_brackets = "[", "]"
    object_brackets = "{", "}"
    gap = ""
    contract_start = re.compile(r"\[(?=[ \t\n\r]*[0-9]+[ \t\n\r]*\|)")
    contract, field, between_fields = "[{}|{}]", "{}:{}", "|"

    def _read_document(self, s: Scanner) -> Value:
        s.skip()
        if s.match(self.contract_start):
            return self._read_contract(s, 1)
        s.expect("[", "'[': brackets around the value")
        start = s.skip()
        value = self._read(s, 0)
        if type(value) is Contract:
            s.fail("no second pair of brackets around a contract", at=start)
        s.expect("]")
        return value

    def render(self, value: Value) -> str:
        """Return the canonical text of a value, in brackets of its own unless it is a contract."""
        text = super().render(value)
        return text if type(value) is Contract else f"[{text}]"

    def _read_contract(self, s: Scanner, depth: int) -> Contract:
        id = s.natural("a contract id")
        s.expect("|")
        return Contract(id, self._read_fields(s, s.separated("|", "]"), depth, after=":"))

    def _read_number(self, s: Scanner) -> int | float:
        start = s.position
        hexadecimal = s.match(_HEXADECIMAL)
        if hexadecimal is None:
            return read_number(s, "a number such as 0x2a, -100, 3.14 or 1e-05")
        number = int(hexadecimal[1], 16)
        if number > MAX_INTEGER:
            s.fail(INTEGER_RANGE, at=start)
        return number

    def _write_integer(self, value: int) -> str:
        return f"{value:#04x}" if value >= 0 else str(value)


GRAMMAR = LCB()
