"""HLXL, the format for people: `{1000: {@0: "search", @1: &h_documents}}`.

Its grammar without white space (`x , …` is any number of x, with commas between):

    value    = null / true / false / number / string / b"bytes" / &h_name / contract / array / object
    contract = { id : { @number : value , … } }
    array    = [ value , … ]
    object   = { key : value , … }
"""

import re

from hlx_model.language.formats import Format
from hlx_model.language.grammar import Grammar
from hlx_model.language.scanner import Scanner
from hlx_model.language.values import Contract

_BODY = re.compile(r"""(?:[ !#-\[\]-~]|\\["\\]|\\x[0-9A-Fa-f]{2})*""")
_BYTES = [chr(b) if 0x20 <= b <= 0x7E else f"\\x{b:02x}" for b in range(256)]
_BYTES[ord('"')], _BYTES[ord("\\")] = r"\"", r"\\"


class HLXL(Grammar):
    """Reads and writes HLXL, which has its own contracts and bytes."""

    format = Format.HLXL
    marks = "{}[]:,@&"
    null, true, false = "null", "true", "false"
    handle_prefix = "&h_"
    bytes_prefix = 'b"'
    array_brackets = "[", "]"
    object_brackets = "{", "}"
    gap = " "
    contract_start = re.compile(r"\{(?=[ \t\n\r]*[0-9])")
    contract, field, between_fields = "{{{}: {{{}}}}}", "@{}: {}", ", "

    def _read_contract(self, s: Scanner, depth: int) -> Contract:
        id = s.natural("a contract id")
        s.expect(":")
        s.expect("{")
        fields = self._read_fields(s, s.separated(",", "}"), depth, before="@", after=":")
        s.expect("}")
        return Contract(id, fields)

    def _read_bytes(self, s: Scanner) -> bytes:
        body = s.match(_BODY)
        assert body is not None
        if not s.text.startswith('"', s.position):
            s.fail(r"""printable ASCII, \" \\ or \xNN, and a closing '"'""")
        s.position += 1
        # Its escapes are among those of Python.
        return body.group().encode().decode("unicode_escape").encode("latin-1")

    def _write_bytes(self, value: bytes) -> str:
        return 'b"' + "".join([_BYTES[b] for b in value]) + '"'


GRAMMAR = HLXL()
