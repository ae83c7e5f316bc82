"""Values: what they refuse, and when two are the same."""

import pytest

from hlx_model.language import Contract, Format, Handle, Value, same

ALL_DIFFERENT: list[Value] = [
    None,
    False,
    True,
    0,
    1,
    0.0,
    -0.0,
    1.0,
    "",
    "1",
    "a",
    b"",
    b"a",
    Handle("a"),
    Handle("b"),
    Contract(1, ()),
    Contract(2, ()),
    Contract(1, ((0, 1),)),
    Contract(1, ((0, True),)),
    Contract(1, ((1, 1),)),
    [],
    [1],
    [1.0],
    [[1]],
    [1, 2],
    [2, 1],
    {},
    {"a": 1, "b": 2},
    {"b": 2, "a": 1},
    {"a": 0.0},
    {"a": -0.0},
]


def test_the_formats_are_four_in_this_order() -> None:
    assert [str(format) for format in Format] == ["HLXL", "LC-R", "LC-T", "LC-B"]


def test_values_are_the_same_only_with_type_sign_and_order() -> None:
    for i, a in enumerate(ALL_DIFFERENT):
        for j, b in enumerate(ALL_DIFFERENT):
            assert same(a, b) is (i == j), (a, b)


@pytest.mark.parametrize("name", ["", "1a", "a-b", "a b", "é", "a\n", "²", 1, None])
def test_a_handle_needs_an_identifier(name: str) -> None:
    with pytest.raises(ValueError, match="identifier"):
        Handle(name)


@pytest.mark.parametrize(
    ("id", "fields"),
    [
        (-1, ()),
        (True, ()),
        (1.0, ()),
        (2**63, ()),
        (1, []),
        (1, ((0,),)),
        (1, (0,)),
        (1, ((-1, None),)),
        (1, ((2**63, None),)),
        (1, ((True, None),)),
        (1, ((0, 1), (0, 2))),
        (1, ((1, 1), (0, 2))),
    ],
)
def test_a_contract_needs_a_natural_id_and_ascending_numbers(id: int, fields: tuple[()]) -> None:
    with pytest.raises(ValueError, match=r"contract|field numbers"):
        Contract(id, fields)


def test_field_numbers_may_start_above_zero_and_have_gaps() -> None:
    assert Contract(0, ((3, None), (2**63 - 1, None))).fields[0][0] == 3


@pytest.mark.parametrize("dash", ["-", "_", " ", "", *"‐‑‒–—"])
def test_a_label_of_a_format_is_read_as_people_write_it(dash: str) -> None:
    for format in (Format.LC_R, Format.LC_T, Format.LC_B):
        for label in (f"LC{dash}{format[-1]}", f"lc{dash}{format[-1].lower()}", f"Lc{dash}{format[-1]}"):
            assert Format(label) is format
    assert all(Format(label) is Format.HLXL for label in ("HLXL", "hlxl", "Hlxl"))


@pytest.mark.parametrize(
    "label", ["", "LC", "LC-", "LC-X", "LC--T", " LC-T", "LC-T\n", "LC\tT", "HLX", "HL-XL", "English", "T", None, 1]
)
def test_any_other_label_is_no_format(label: str) -> None:
    with pytest.raises(ValueError, match="is not a valid Format"):
        Format(label)
