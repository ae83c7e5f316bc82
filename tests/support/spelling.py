"""Values in every spelling that a reader accepts, as people and other programs may write them."""

from random import Random

from hlx_model.language import Contract, Format, Handle, Value

SPACES = ("", "", "", " ", "  ", "\n", "\t", "\r\n", " \n\t ")
SHORT = {'"': '"', "\\": "\\", "/": "/", "\b": "b", "\f": "f", "\n": "n", "\r": "r", "\t": "t"}
WORDS = {
    Format.HLXL: ("null", "true", "false", "&h_"),
    Format.LC_R: ("∅", "⊤", "⊥", "⟁"),
    Format.LC_T: ("NULL", "TRUE", "FALSE", "@"),
    Format.LC_B: ("_", "T", "F", "&"),
}


def spelled(value: Value, format: Format, rng: Random) -> str:
    """Return `value` in `format`, with any white space between its tokens and any spelling of each."""
    tokens = _tokens(value, format, rng)
    if format is Format.LC_B and type(value) is not Contract:
        tokens = ["[", *tokens, "]"]
    return "".join(rng.choice(SPACES) + token for token in tokens) + rng.choice(SPACES)


def _tokens(value: Value, format: Format, rng: Random) -> list[str]:
    null, true, false, handle = WORDS[format]
    match value:
        case None:
            return [null]
        case bool():
            return [true if value else false]
        case int():
            return [_integer(value, format, rng)]
        case float():
            return [_float(value, rng)]
        case str():
            return ['"' + "".join(_character(character, rng) for character in value) + '"']
        case bytes():
            return [_bytes(value, format, rng)]
        case Handle(name):
            return [handle + name]
        case Contract(id, fields):
            return _contract(id, [(str(n), _tokens(v, format, rng)) for n, v in fields], format)
        case list():
            opening, closing = ("🜃", "🜄") if format is Format.LC_R else ("[", "]")
            return [opening, *_separated(",", [_tokens(item, format, rng) for item in value]), closing]
        case dict():
            opening, closing = ("◇", "◆") if format is Format.LC_R else ("{", "}")
            pairs = [[key, ":", *_tokens(member, format, rng)] for key, member in value.items()]
            return [opening, *_separated(",", pairs), closing]


def _contract(id: int, fields: list[tuple[str, list[str]]], format: Format) -> list[str]:
    match format:
        case Format.HLXL:
            return ["{", str(id), ":", "{", *_separated(",", [["@", n, ":", *v] for n, v in fields]), "}", "}"]
        case Format.LC_R:
            # Without the space the digits of a number would belong to the field number.
            return ["🜊", str(id), *[token for n, v in fields for token in ("🜁", f"{n} ", *v)], "🜂"]
        case Format.LC_T:
            return ["{", "C", ":", str(id), *[token for n, v in fields for token in (",", n, "=", *v)], "}"]
        case Format.LC_B:
            return ["[", str(id), "|", *_separated("|", [[n, ":", *v] for n, v in fields]), "]"]


def _separated(separator: str, items: list[list[str]]) -> list[str]:
    return [token for number, item in enumerate(items) for token in ([separator] * (number > 0) + item)]


def _integer(value: int, format: Format, rng: Random) -> str:
    if value == 0 and rng.random() < 0.3:
        return "-0"
    if format is Format.LC_B and value >= 0 and rng.random() < 0.7:
        return "0x" + "0" * rng.randint(0, 20) + _any_case(f"{value:x}", rng)
    return str(value)


def _float(value: float, rng: Random) -> str:
    text = rng.choice((repr(value), f"{value:.17e}", f"{value:.30e}"))
    mantissa, e, exponent = text.partition("e")
    mantissa += "0" * rng.randint(0, 3) if "." in mantissa else ""
    if not e:
        return mantissa + rng.choice(("", "e0", "E0", "e-00", "E+0"))
    return mantissa + rng.choice("eE") + exponent


def _character(character: str, rng: Random) -> str:
    units = character.encode("utf-16-be")
    escaped = "".join(rf"\u{_any_case(units[i : i + 2].hex(), rng)}" for i in range(0, len(units), 2))
    if character in SHORT:
        ways = [escaped, "\\" + SHORT[character]]
        return rng.choice([*ways, "/"] if character == "/" else ways)
    raw = character >= " " and not "\x7f" <= character <= "\x9f"
    return character if raw and rng.random() < 0.7 else escaped


def _bytes(value: bytes, format: Format, rng: Random) -> str:
    if format is not Format.HLXL:
        return ("⊠" if format is Format.LC_R else "#") + _any_case(value.hex(), rng)
    spelled = ""
    for byte in value:
        character = chr(byte)
        raw = f"\\{character}" if character in '"\\' else character
        printable = " " <= character <= "~" and rng.random() < 0.7
        spelled += raw if printable else rf"\x{_any_case(f'{byte:02x}', rng)}"
    return f'b"{spelled}"'


def _any_case(digits: str, rng: Random) -> str:
    return "".join(rng.choice((digit, digit.upper())) for digit in digits)
