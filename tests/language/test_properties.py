"""Claims about every value and every text."""

import json
from random import Random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hlx_model.language import GRAMMARS, Contract, Format, HLXSyntaxError, Value, convert, parse, render, same
from hlx_model.language.values import MAX_DEPTH
from tests.support.spelling import spelled
from tests.support.strategies import NOTATION, values

formats = st.sampled_from(Format)
randoms = st.randoms(use_true_random=False)


@given(values(), formats)
def test_what_is_written_is_read_as_the_same_value(value: Value, format: Format) -> None:
    text = render(value, format)
    assert same(parse(text, format), value)
    assert render(parse(text, format), format) == text


@given(values(), formats, formats, randoms)
def test_every_spelling_of_a_value_has_one_canonical_text(
    value: Value, source: Format, target: Format, rng: Random
) -> None:
    text = spelled(value, source, rng)
    assert same(parse(text, source), value)
    assert convert(text, source, target) == render(value, target)


@given(values(), formats, st.lists(st.integers(0, 2), min_size=MAX_DEPTH - 10, max_size=MAX_DEPTH + 10))
def test_what_is_too_deep_to_write_is_too_deep_to_read(value: Value, format: Format, wrappers: list[int]) -> None:
    text = render(value, Format.LC_R)
    depth = len(wrappers) + depth_of(value)
    for wrapper in wrappers:
        around: tuple[Value, ...] = ([value], {"a": value}, Contract(1, ((0, value),)))
        value = around[wrapper]
        opening, closing = (("🜃", "🜄"), ("◇a: ", "◆"), ("🜊1🜁0 ", "🜂"))[wrapper]
        text = f"{opening}{text}{closing}"
    if depth <= MAX_DEPTH:
        assert same(parse(text, Format.LC_R), value)
        assert render(value, Format.LC_R) == text
        assert same(parse(render(value, format), format), value)
    else:
        with pytest.raises(HLXSyntaxError, match="at most 100 levels"):
            parse(text, Format.LC_R)
        with pytest.raises(ValueError, match="depth 100"):
            render(value, format)


@given(values(), formats)
def test_a_rendering_is_one_line(value: Value, format: Format) -> None:
    assert "\n" not in render(value, format)


@given(values())
def test_different_values_are_written_differently(value: Value) -> None:
    texts = {format: render(value, format) for format in Format}
    for changed in ([value], {"a": value}, str(value), repr(value)):
        for format in Format:
            assert (render(changed, format) == texts[format]) is same(changed, value)


@given(values())
def test_a_text_of_two_formats_has_one_value_unless_one_is_ambiguous(value: Value) -> None:
    plain = [format for format in Format if not GRAMMARS[format].ambiguous]
    for text in {render(value, format) for format in plain}:
        for format in plain:
            try:
                assert same(parse(text, format), value)
            except HLXSyntaxError:
                continue


@given(st.text())
def test_strings_are_read_as_json_reads_them(text: str) -> None:
    for spelling in (json.dumps(text), render(text, Format.HLXL)):
        assert parse(spelling, Format.HLXL) == json.loads(spelling) == text


@given(st.integers() | st.floats())
def test_numbers_are_read_as_json_reads_them_within_range(number: float) -> None:
    text = json.dumps(number)
    try:
        value = parse(text, Format.LC_T)
    except HLXSyntaxError:
        assert "n" in text.lower() or not -(2**63) <= number < 2**63
    else:
        assert same(value, number)


@st.composite
def damaged_texts(draw: st.DrawFn) -> str:
    """Draw the text of a value in some format, with up to three places where characters were replaced."""
    text = render(draw(values()), draw(formats))
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(text)))
        stop = draw(st.integers(start, min(start + 2, len(text))))
        text = text[:start] + draw(st.text(NOTATION, max_size=2)) + text[stop:]
    return text


@given(st.text(st.characters()) | st.text(NOTATION, max_size=30) | damaged_texts(), formats)
@example("\ud800", Format.HLXL)
def test_any_text_is_a_value_or_a_syntax_error(text: str, format: Format) -> None:
    try:
        value = parse(text, format)
    except HLXSyntaxError as error:
        assert 0 <= error.position <= len(text)
        assert error.line == text[: error.position].count("\n") + 1
        assert error.column == len(text[: error.position].split("\n")[-1]) + 1
        assert str(error).splitlines() == [str(error)]
    else:
        assert same(parse(render(value, format), format), value)


def depth_of(value: Value) -> int:
    match value:
        case list():
            return 1 + max(map(depth_of, value), default=0)
        case dict():
            return 1 + max(map(depth_of, value.values()), default=0)
        case Contract():
            return 1 + max((depth_of(inner) for _, inner in value.fields), default=0)
    return 0
