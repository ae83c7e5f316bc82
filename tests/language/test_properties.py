"""What holds for every value and every text."""

import json

from hypothesis import example, given
from hypothesis import strategies as st

from hlx_model.language import Format, HLXSyntaxError, Value, convert, parse, render, same
from tests.language.strategies import NOTATION, values

formats = st.sampled_from(Format)


@given(values(), formats)
def test_what_is_written_is_read_as_the_same_value(value: Value, format: Format) -> None:
    text = render(value, format)
    assert same(parse(text, format), value)
    assert render(parse(text, format), format) == text


@given(values(), formats, formats)
def test_converting_keeps_the_value(value: Value, source: Format, target: Format) -> None:
    converted = convert(render(value, source), source, target)
    assert converted == render(value, target)
    assert convert(converted, target, source) == render(value, source)


@given(values(), formats)
def test_a_rendering_is_one_line(value: Value, format: Format) -> None:
    assert "\n" not in render(value, format)


@given(values())
def test_different_values_are_written_differently(value: Value) -> None:
    texts = {format: render(value, format) for format in Format}
    for changed in ([value], {"a": value}, str(value), repr(value)):
        for format in Format:
            assert (render(changed, format) == texts[format]) is same(changed, value)


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


@given(st.text(st.characters()) | st.text(NOTATION, max_size=30), formats)
@example("\ud800", Format.HLXL)
def test_any_text_is_a_value_or_a_syntax_error(text: str, format: Format) -> None:
    check_any_text(text, format)


@given(values(), formats, st.data())
def test_any_damaged_text_is_a_value_or_a_syntax_error(value: Value, format: Format, data: st.DataObject) -> None:
    text = render(value, format)
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(text)))
        stop = data.draw(st.integers(start, min(start + 2, len(text))))
        text = text[:start] + data.draw(st.text(NOTATION, max_size=2)) + text[stop:]
    check_any_text(text, format)


def check_any_text(text: str, format: Format) -> None:
    try:
        value = parse(text, format)
    except HLXSyntaxError as error:
        assert 0 <= error.position <= len(text)
        assert error.line == text[: error.position].count("\n") + 1
        assert error.column == len(text[: error.position].split("\n")[-1]) + 1
        assert str(error).splitlines() == [str(error)]
    else:
        canonical = render(value, format)
        assert same(parse(canonical, format), value)
