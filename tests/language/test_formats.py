"""What each format writes and reads, rule by rule as the description of HLX has them."""

import re

import pytest

from hlx_model.language import GRAMMARS, Contract, Format, Handle, HLXSyntaxError, Value, convert, parse, render, same

HLXL, LC_R, LC_T, LC_B = Format

SEARCH = Contract(1000, ((0, "search"), (1, Handle("documents"))))
PIPELINE = Contract(902, ((0, "render_pipeline"), (1, [Handle("vs"), Handle("fs")])))


def three(text: str) -> tuple[str, str, str]:
    """Return `text` for HLXL, LC-R and LC-T, if they write a value alike."""
    return text, text, text


# value, then its canonical text in HLXL, LC-R, LC-T and LC-B
TABLE: list[tuple[Value, str, str, str, str]] = [
    # The table of the description, row by row.
    (None, "null", "∅", "NULL", "[_]"),
    (True, "true", "⊤", "TRUE", "[T]"),
    (False, "false", "⊥", "FALSE", "[F]"),
    (42, "42", "42", "42", "[0x2a]"),
    (-100, "-100", "-100", "-100", "[-100]"),
    (3.14159, "3.14159", "3.14159", "3.14159", "[3.14159]"),
    ("hello", '"hello"', '"hello"', '"hello"', '["hello"]'),
    (b"data", 'b"data"', "⊠64617461", "#64617461", "[#64617461]"),
    (Handle("ast"), "&h_ast", "⟁ast", "@ast", "[&ast]"),
    (
        SEARCH,
        '{1000: {@0: "search", @1: &h_documents}}',
        '🜊1000🜁0 "search"🜁1 ⟁documents🜂',
        '{C:1000,0="search",1=@documents}',
        '[1000|0:"search"|1:&documents]',
    ),
    ([1, 2, 3], "[1, 2, 3]", "🜃1, 2, 3🜄", "[1,2,3]", "[[0x01,0x02,0x03]]"),
    ([], "[]", "🜃🜄", "[]", "[[]]"),
    (
        {"name": "Alice", "age": 30},
        '{name: "Alice", age: 30}',
        '◇name: "Alice", age: 30◆',
        '{name:"Alice",age:30}',
        '[{name:"Alice",age:0x1e}]',
    ),
    ({}, "{}", "◇◆", "{}", "[{}]"),
    # Numbers.
    (0, "0", "0", "0", "[0x00]"),
    (300, "300", "300", "300", "[0x12c]"),
    (1000, "1000", "1000", "1000", "[0x3e8]"),
    (2**63 - 1, *three("9223372036854775807"), "[0x7fffffffffffffff]"),
    (-(2**63), *three("-9223372036854775808"), "[-9223372036854775808]"),
    (100.0, "100.0", "100.0", "100.0", "[100.0]"),
    (1e-05, "1e-05", "1e-05", "1e-05", "[1e-05]"),
    (1e16, "1e+16", "1e+16", "1e+16", "[1e+16]"),
    (-0.0, "-0.0", "-0.0", "-0.0", "[-0.0]"),
    # Strings and bytes.
    ('"\\/', *three(r'"\"\\/"'), r'["\"\\/"]'),
    (
        "\b\f\n\r\t\0\x1f\x7f\x85",
        *three(r'"\b\f\n\r\t\u0000\u001f\u007f\u0085"'),
        r'["\b\f\n\r\t\u0000\u001f\u007f\u0085"]',
    ),
    ("é😀\u2028🜂◆}]|,", *three('"é😀\u2028🜂◆}]|,"'), '["é😀\u2028🜂◆}]|,"]'),
    (b'"\\ ~\x00\n\xff', r'b"\"\\ ~\x00\x0a\xff"', "⊠225c207e000aff", "#225c207e000aff", "[#225c207e000aff]"),
    (b"", 'b""', "⊠", "#", "[#]"),
    # Contracts.
    (Contract(14, ()), "{14: {}}", "🜊14🜂", "{C:14}", "[14|]"),
    (Contract(0, ((3, 1), (10, 2))), "{0: {@3: 1, @10: 2}}", "🜊0🜁3 1🜁10 2🜂", "{C:0,3=1,10=2}", "[0|3:0x01|10:0x02]"),
    (
        PIPELINE,
        '{902: {@0: "render_pipeline", @1: [&h_vs, &h_fs]}}',
        '🜊902🜁0 "render_pipeline"🜁1 🜃⟁vs, ⟁fs🜄🜂',
        '{C:902,0="render_pipeline",1=[@vs,@fs]}',
        '[902|0:"render_pipeline"|1:[&vs,&fs]]',
    ),
    ([Contract(14, ((0, 1),))], "[{14: {@0: 1}}]", "🜃🜊14🜁0 1🜂🜄", "[{C:14,0=1}]", "[[[14|0:0x01]]]"),
    (
        Contract(1, ((0, Contract(2, ())), (1, {"a": [None]}))),
        "{1: {@0: {2: {}}, @1: {a: [null]}}}",
        "🜊1🜁0 🜊2🜂🜁1 ◇a: 🜃∅🜄◆🜂",
        "{C:1,0={C:2},1={a:[NULL]}}",
        "[1|0:[2|]|1:{a:[_]}]",
    ),
    # Arrays that look like contracts in LC-B.
    ([14], "[14]", "🜃14🜄", "[14]", "[[0x0e]]"),
    ([[14]], "[[14]]", "🜃🜃14🜄🜄", "[[14]]", "[[[0x0e]]]"),
    # Names that look like something else.
    (Handle("h_ast"), "&h_h_ast", "⟁h_ast", "@h_ast", "[&h_ast]"),
    (Handle("C"), "&h_C", "⟁C", "@C", "[&C]"),
    (
        {"T": True, "_": None, "null": 1, "TRUE": 2, "b": 3},
        "{T: true, _: null, null: 1, TRUE: 2, b: 3}",
        "◇T: ⊤, _: ∅, null: 1, TRUE: 2, b: 3◆",
        "{T:TRUE,_:NULL,null:1,TRUE:2,b:3}",
        "[{T:T,_:_,null:0x01,TRUE:0x02,b:0x03}]",
    ),
]

# format, text that is not canonical, and the value that it reads as
READABLE: list[tuple[Format, str, Value]] = [
    # Other spaces and line breaks between tokens.
    (HLXL, ' {\n1000:{@0:"search",\r\n\t@ 1 : &h_documents } } ', SEARCH),
    (LC_R, ' 🜊 1000 🜁 0\n"search"🜁1\t⟁documents 🜂\n', SEARCH),
    (LC_T, '{ C : 1000 , 0 = "search" ,\n1 = @documents }', SEARCH),
    (LC_B, ' [ 1000 | 0 : "search" |\n1 : &documents ] ', SEARCH),
    (LC_R, '🜊1000🜁0"search"🜁1⟁documents🜂', SEARCH),
    (LC_R, "🜃1,2 ,3🜄", [1, 2, 3]),
    (LC_B, "[ [ 1 , 2 ] ]", [1, 2]),
    (LC_B, "[\n[ [14|] ] ]", [Contract(14, ())]),
    # Numbers.
    (HLXL, "-0", 0),
    (LC_B, "[-0]", 0),
    (HLXL, "1E5", 1e5),
    (HLXL, "-0e0", -0.0),
    (HLXL, "1e-999", 0.0),
    (LC_B, "[42]", 42),
    (LC_B, "[0x03e8]", 1000),
    (LC_B, "[0xff9c]", 65436),
    (LC_B, "[0x2A]", 42),
    (LC_B, "[0x0]", 0),
    (LC_B, f"[0x{'0' * 5000}1]", 1),
    # Every JSON escape.
    (HLXL, r'"\"\\\/\b\f\n\r\t\u00e9\u00E9"', '"\\/\b\f\n\r\téé'),
    (HLXL, r'"\ud83d\ude00\uD83D\uDE00"', "😀😀"),
    (HLXL, r'"\\ud800"', r"\ud800"),
    # Hexadecimal of either case.
    (HLXL, r'b"\x4A\x4a"', b"JJ"),
    (LC_R, "⊠4A4a", b"JJ"),
    (LC_R, "🜃⊠, ⊠ 🜄", [b"", b""]),
    # The longest run of digits is the field number.
    (LC_R, "🜊1🜁12 3🜂", Contract(1, ((12, 3),))),
    (LC_R, "🜊1🜁1-2🜂", Contract(1, ((1, -2),))),
]

# format, text that is refused, where, and what the error says there
REFUSED: list[tuple[Format, str, int, str]] = [
    # Nothing, or something after the value.
    *[(format, "", 0, "found the end of the text") for format in Format],
    *[(format, " \n", 2, "found the end of the text") for format in Format],
    (HLXL, "1 2", 2, "found '2', expected the end of the text"),
    (LC_R, "∅∅", 1, "found '∅', expected the end"),
    (LC_B, "[1|]]", 4, "found ']', expected the end"),
    # The words of another format.
    (HLXL, "NULL", 0, "found 'NULL', expected a value such as null, true"),
    (LC_T, "null", 0, "found 'null', expected a value such as NULL, TRUE"),
    (LC_R, "true", 0, "expected a value such as ∅, ⊤"),
    (LC_B, "[true]", 1, "found 'true', expected a value such as _, T"),
    (HLXL, "nullx", 0, "found 'nullx'"),
    (HLXL, "&ast", 0, 'expected a value such as null, true, 42, "text", b"\\x00", &h_name'),
    # Numbers.
    *[
        (format, template.format(number), template.index("{"), "expected a number such as")
        for number in ["01", "-01", "00", "1.", "-", "1_000", "0b1", "1e", "1.5.2", "12a", "-0x12", "-.5", "0x"]
        for format, template in zip(Format, ["{}", "{}", "{}", "[{}]"], strict=True)
    ],
    *[(format, "0x2a", 0, "expected a number such as") for format in (HLXL, LC_R, LC_T)],
    (HLXL, ".5", 0, "expected a value"),
    (HLXL, "+1", 0, "expected a value"),
    (HLXL, "٣", 0, "expected a value"),
    (HLXL, "1٣", 1, "expected the end of the text"),
    (HLXL, "NaN", 0, "expected a value"),
    (HLXL, "1e999", 0, "expected a finite float"),
    (HLXL, "-1e999", 0, "expected a finite float"),
    (HLXL, "9223372036854775808", 0, "64 bits"),
    (HLXL, "-9223372036854775809", 0, "64 bits"),
    (HLXL, "9" * 5000, 0, "64 bits"),
    (LC_B, "[0x8000000000000000]", 1, "64 bits"),
    (LC_B, f"[0x{'f' * 5000}]", 1, "64 bits"),
    # Strings.
    (HLXL, '"a', 2, "found the end of the text, expected a closing '\"'"),
    (HLXL, '"a\nb"', 2, r"found '\n', expected control characters escaped, this one as \n"),
    (HLXL, '"\x85"', 1, r"this one as \u0085"),
    (HLXL, r'"\q"', 1, "expected an escape"),
    (HLXL, '"\\', 1, "expected an escape"),
    (HLXL, r'"\u12g4"', 1, "expected an escape"),
    (HLXL, r'"\u٣٣٣٣"', 1, "expected an escape"),
    (HLXL, r'"a\ud83d"', 2, "surrogates in pairs"),
    (HLXL, r'"\ud83dx\ude00"', 1, "surrogates in pairs"),
    (HLXL, r'"\ude00\ud83d"', 1, "surrogates in pairs"),
    (HLXL, '"\ud83d"', 1, "not halves of surrogate pairs"),
    (HLXL, "'a'", 0, "expected a value"),
    # Bytes.
    (HLXL, 'b"a', 3, "closing"),
    (HLXL, 'b"é"', 2, "printable ASCII"),
    (HLXL, r'b"\n"', 2, r"\xNN"),
    (HLXL, r'b"\x4"', 2, r"\xNN"),
    (HLXL, 'b "a"', 0, "expected a value"),
    (LC_R, "⊠123", 1, "pairs of hexadecimal digits after '⊠'"),
    (LC_T, "#12g", 1, "pairs of hexadecimal digits after '#'"),
    (LC_B, "[#1]", 2, "pairs of hexadecimal digits after '#'"),
    # Handles.
    (HLXL, "&h_", 3, "an identifier after '&h_'"),
    (LC_R, "⟁1", 1, "an identifier after '⟁'"),
    (LC_T, "@ ast", 1, "an identifier after '@'"),
    (LC_T, "@é", 1, "an identifier after '@'"),
    # Contracts.
    (HLXL, "{14 {}}", 4, "found '{', expected ':'"),
    (HLXL, "{14: {0: 1}}", 6, "found '0', expected '@'"),
    (HLXL, "{14: {@0: 1}", 12, "found the end of the text, expected '}'"),
    (HLXL, "{14: {@0: 1,}}", 12, "found '}', expected '@'"),
    (HLXL, "{-1: {}}", 1, "expected a key"),
    (HLXL, "{014: {}}", 1, "a contract id with no leading zeros"),
    (HLXL, "{9223372036854775808: {}}", 1, "a contract id below 2**63"),
    (HLXL, f"{{{'9' * 5000}: {{}}}}", 1, "a contract id below 2**63"),
    (HLXL, "{1: {@0: 1, @0: 2}}", 13, "found '0', expected a field number above 0"),
    (LC_R, "🜊1🜁1 1🜁0 2🜂", 7, "found '0', expected a field number above 1"),
    (LC_R, "🜊1🜁01🜂", 3, "a field number with no leading zeros"),
    (LC_R, "🜊1🜁0🜂", 4, "found '🜂', expected a value"),
    (LC_R, "🜊🜂", 1, "a contract id"),
    (LC_R, "🜊1🜁0 1", 6, "expected '🜁' or '🜂'"),
    (LC_T, "{C:1,}", 5, "found '}', expected a field number"),
    (LC_T, "{C:1,0:1}", 6, "found ':', expected '='"),
    (LC_T, '{C:"x"}', 3, "a contract id"),
    (LC_T, "{1:2}", 1, "expected a key"),
    (LC_B, "[14|0:1|]", 8, "found ']', expected a field number"),
    (LC_B, "[14|0:1,1:2]", 7, "found ',', expected '|' or ']'"),
    (LC_B, "[0x0e|0:1]", 5, "found '|', expected ']'"),
    # The outermost brackets of LC-B.
    (LC_B, "42", 0, "expected '['"),
    (LC_B, "[]", 1, "found ']', expected a value"),
    (LC_B, "[1,2]", 2, "found ',', expected ']'"),
    (LC_B, "[[14|0:0x01]]", 1, "no second pair of brackets"),
    (LC_B, "[[14|]]", 1, "no second pair of brackets"),
    (LC_B, "[[14|0:]]", 7, "expected a value"),
    # Arrays and objects.
    (HLXL, "[1,]", 3, "found ']', expected a value"),
    (HLXL, "[,]", 1, "found ',', expected a value"),
    (HLXL, "[1 2]", 3, "found '2', expected ',' or ']'"),
    (HLXL, "[1", 2, "found the end of the text, expected ',' or ']'"),
    (LC_R, "🜃1, 🜄", 4, "found '🜄', expected a value"),
    (LC_R, "◇a: 1, ◆", 7, "found '◆', expected a key"),
    (HLXL, "{a}", 2, "found '}', expected ':'"),
    (HLXL, '{"a": 1}', 1, "expected a key"),
    (HLXL, "{é: 1}", 1, "expected a key"),
    (HLXL, "{a: 1, a: 2}", 7, "a key that the object does not have yet"),
    # The key C.
    (HLXL, "{C: 14}", 1, "C is reserved"),
    (LC_R, "◇a: 1, C: 14◆", 7, "C is reserved"),
    (LC_T, "{a:1,C:14}", 5, "C is reserved"),
    (LC_B, "[{C:14}]", 2, "C is reserved"),
]

UNWRITABLE: list[tuple[object, str]] = [
    (float("nan"), "finite"),
    (float("inf"), "finite"),
    (-float("inf"), "finite"),
    (2**63, "64 bits"),
    (-(2**63) - 1, "64 bits"),
    (10**5000, "64 bits"),
    ("\ud800", "surrogate"),
    ({"C": 1}, "key"),
    ({"a b": 1}, "key"),
    ({"a\n": 1}, "key"),
    ({"": 1}, "key"),
    ({1: 1}, "key"),
    ((1, 2), "type tuple"),
    ({1, 2}, "type set"),
    (bytearray(b"a"), "type bytearray"),
    (1j, "type complex"),
    (Format.HLXL, "type Format"),
    (range(3), "type range"),
]

WRAPPERS: list[tuple[Format, str, str]] = [
    (HLXL, "[", "]"),
    (HLXL, "{a: ", "}"),
    (HLXL, "{1: {@0: ", "}}"),
    (LC_R, "🜃", "🜄"),
    (LC_R, "◇a: ", "◆"),
    (LC_R, "🜊1🜁0 ", "🜂"),
    (LC_T, "[", "]"),
    (LC_T, "{a:", "}"),
    (LC_T, "{C:1,0=", "}"),
    (LC_B, "[", "]"),
    (LC_B, "{a:", "}"),
    (LC_B, "[1|0:", "]"),
]


def short(parameter: object) -> str:
    """Return a short name of `parameter` for a test: some have thousands of digits."""
    return type(parameter).__name__ if isinstance(parameter, int) else ascii(parameter)[:40]


@pytest.mark.parametrize(("value", "texts"), [(row[0], row[1:]) for row in TABLE], ids=[row[1] for row in TABLE])
def test_each_row_is_written_and_read_in_all_four_formats(value: Value, texts: tuple[str, ...]) -> None:
    for format, text in zip(Format, texts, strict=True):
        assert render(value, format) == text
        assert same(parse(text, format), value)
        for target, converted in zip(Format, texts, strict=True):
            assert convert(text, format, target) == converted


@pytest.mark.parametrize("format", Format)
def test_the_marks_of_a_format_are_the_characters_of_its_structure(format: Format) -> None:
    texts = [render(row[0], format) for row in TABLE]
    structure = "".join(re.sub(r'b?"(?:[^"\\]|\\.)*"|-?\d+\.\d+|-\d|e[-+]\d', "", text) for text in texts)
    assert set(re.sub(r"[\w\s]", "", structure)) == set(GRAMMARS[format].marks)


def test_lc_b_is_ambiguous_and_other_formats_are_not() -> None:
    assert [format for format in Format if GRAMMARS[format].ambiguous] == [LC_B]
    text = render("a", LC_B)
    assert (parse(text, LC_B), parse(text, HLXL)) == ("a", ["a"])


@pytest.mark.parametrize(("format", "text", "value"), READABLE, ids=short)
def test_spelling_that_is_not_canonical_is_read(format: Format, text: str, value: Value) -> None:
    assert same(parse(text, format), value)


@pytest.mark.parametrize(("format", "text", "position", "message"), REFUSED, ids=short)
def test_what_is_not_allowed_is_refused_at_its_place(format: Format, text: str, position: int, message: str) -> None:
    with pytest.raises(HLXSyntaxError) as caught:
        parse(text, format)
    assert message in caught.value.message
    assert caught.value.position == position


@pytest.mark.parametrize("format", Format)
@pytest.mark.parametrize(("value", "message"), UNWRITABLE, ids=short)
def test_what_hlx_cannot_express_is_not_written(value: Value, message: str, format: Format) -> None:
    for inside in (value, [value], {"a": value}, Contract(1, ((0, value),))):
        with pytest.raises(ValueError, match=message):
            render(inside, format)


@pytest.mark.parametrize(("format", "opening", "closing"), WRAPPERS)
def test_values_nest_to_depth_100_and_no_deeper(format: Format, opening: str, closing: str) -> None:
    def nested(depth: int) -> str:
        contract = format is LC_B and opening.startswith("[1|")
        outer = ("", "") if format is not LC_B or contract else ("[", "]")
        return outer[0] + opening * depth + '"x"' + closing * depth + outer[1]

    assert render(parse(nested(100), format), format) == nested(100)
    for depth in (101, 100_000):
        with pytest.raises(HLXSyntaxError, match="at most 100 levels"):
            parse(nested(depth), format)


@pytest.mark.parametrize("format", Format)
def test_deeper_and_endless_values_are_not_written(format: Format) -> None:
    endless: list[Value] = []
    endless.append(endless)
    deep: Value = None
    for _ in range(101):
        deep = Contract(1, ((0, deep),))
    for value in (endless, deep):
        with pytest.raises(ValueError, match="depth 100"):
            render(value, format)
