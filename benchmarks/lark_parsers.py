"""The four formats as lark grammars, with which `benchmarks/parsing.py` compares the parsers of this project.

Each is LALR with the contextual lexer and a built-in transformer, so that no tree is made: lark's fastest ordinary way.
They read canonical lines, and do not check depth, 64 bits, repeated keys, the key C and surrogates.
"""
# ruff: noqa: N802  lark calls what transforms a token by the token's name

import json
from collections.abc import Callable
from functools import cache
from typing import Any, cast

from lark import Lark, Token, Transformer

from hlx_model.language import Contract, Format, Handle, Value

_PLAIN = "NULL | TRUE | FALSE | NATURAL | NEGATIVE | FLOAT | STRING | BYTES | HANDLE | array | object"
_SHARED = r"""
pair: KEY ":" value

KEY: /[A-Za-z_][A-Za-z0-9_]*/
STRING: /"[^"\\\x00-\x1f\x7f-\x9f]*(?:\\.[^"\\\x00-\x1f\x7f-\x9f]*)*"/
NATURAL: /(?:0|[1-9][0-9]*)(?![0-9A-Za-z_.])/
NEGATIVE: /-(?:0|[1-9][0-9]*)(?![0-9A-Za-z_.])/
FLOAT: /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+(?:[Ee][+-]?[0-9]+)?|[Ee][+-]?[0-9]+)(?![0-9A-Za-z_.])/
%ignore /[ \t\n\r]+/
"""
_BRACKETS = r"""
array: "[" [value ("," value)*] "]"
object: "{" [pair ("," pair)*] "}"
"""
_GRAMMARS = {
    Format.HLXL: r"""
?start: value
?value: contract | PLAIN
contract: "{" NATURAL ":" "{" [field ("," field)*] "}" "}"
field: "@" NATURAL ":" value
NULL: "null"
TRUE: "true"
FALSE: "false"
HANDLE: /&h_[A-Za-z_][A-Za-z0-9_]*/
BYTES: /b"(?:[ !#-\[\]-~]|\\["\\]|\\x[0-9A-Fa-f]{2})*"/
"""
    + _BRACKETS,
    Format.LC_R: r"""
?start: value
?value: contract | PLAIN
contract: "🜊" NATURAL field* "🜂"
field: "🜁" NATURAL value
array: "🜃" [value ("," value)*] "🜄"
object: "◇" [pair ("," pair)*] "◆"
NULL: "∅"
TRUE: "⊤"
FALSE: "⊥"
HANDLE: /⟁[A-Za-z_][A-Za-z0-9_]*/
BYTES: /⊠(?:[0-9A-Fa-f]{2})*/
""",
    Format.LC_T: r"""
?start: value
?value: contract | PLAIN
contract: "{" "C" ":" NATURAL ("," field)* "}"
field: NATURAL "=" value
NULL: "NULL"
TRUE: "TRUE"
FALSE: "FALSE"
HANDLE: /@[A-Za-z_][A-Za-z0-9_]*/
BYTES: /#(?:[0-9A-Fa-f]{2})*/
"""
    + _BRACKETS,
    Format.LC_B: r"""
?start: contract | "[" plain "]"
?value: contract | PLAIN | HEXADECIMAL
?plain: PLAIN | HEXADECIMAL
contract: "[" NATURAL "|" [field ("|" field)*] "]"
field: NATURAL ":" value
NULL: "_"
TRUE: "T"
FALSE: "F"
HANDLE: /&[A-Za-z_][A-Za-z0-9_]*/
BYTES: /#(?:[0-9A-Fa-f]{2})*/
HEXADECIMAL: /0x[0-9A-Fa-f]+/
"""
    + _BRACKETS,
}


class _Values(Transformer[Token, Value]):
    """Turns tokens and rules into the values of `hlx_model.language`."""

    array = list
    object = dict
    pair = tuple
    field = tuple
    KEY = str
    NATURAL = NEGATIVE = int
    FLOAT = float

    def contract(self, children: list[Any]) -> Contract:
        return Contract(children[0], tuple(children[1:]))

    def NULL(self, token: Token) -> None:
        return None

    def TRUE(self, token: Token) -> bool:
        return True

    def FALSE(self, token: Token) -> bool:
        return False

    def HEXADECIMAL(self, token: Token) -> int:
        return int(token, 16)

    def STRING(self, token: Token) -> str:
        return cast(str, json.loads(token)) if "\\" in token else token[1:-1]

    def BYTES(self, token: Token) -> bytes:
        return bytes.fromhex(token[1:])

    def HANDLE(self, token: Token) -> Handle:
        return Handle(token[1:])


class _HLXLValues(_Values):
    """Turns what HLXL writes differently into values."""

    def BYTES(self, token: Token) -> bytes:
        body = token[2:-1]
        return body.encode().decode("unicode_escape").encode("latin-1") if "\\" in body else body.encode()

    def HANDLE(self, token: Token) -> Handle:
        return Handle(token[3:])


@cache
def lark_parser(format: Format) -> Callable[[str], Value]:
    """Return a function that reads the value of a line of `format`."""
    parser = Lark(
        _GRAMMARS[format].replace("PLAIN", _PLAIN) + _SHARED,
        parser="lalr",
        lexer="contextual",
        transformer=_HLXLValues() if format is Format.HLXL else _Values(),
        maybe_placeholders=False,
    )
    return cast(Callable[[str], Value], parser.parse)
