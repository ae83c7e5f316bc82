"""Hypothesis strategies for every value that HLX can express."""

from hypothesis import strategies as st

from hlx_model.language import Contract, Handle, Value
from hlx_model.language.values import MAX_INTEGER, MIN_INTEGER

# The characters that have a meaning in some format or are escaped in strings: those that can confuse a parser.
NOTATION = "∅⊤⊥⊠⟁🜊🜁🜂🜃🜄◇◆ \n\t,:=|@&#_-+.\"'\\/{}[]()0129abefxuCTFNh\x00\x7f\x85\u2028é😀"


def identifiers() -> st.SearchStrategy[str]:
    """Draw names of handles."""
    odd = st.sampled_from(["C", "T", "F", "_", "null", "NULL", "h_ast", "b", "e5", "x0"])
    return odd | st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,8}", fullmatch=True)


def keys() -> st.SearchStrategy[str]:
    """Draw keys of objects."""
    return identifiers().filter(lambda key: key != "C")


def scalars() -> st.SearchStrategy[Value]:
    """Draw values without parts."""
    return st.one_of(
        st.none(),
        st.booleans(),
        st.integers(MIN_INTEGER, MAX_INTEGER),
        st.integers(-300, 300),
        st.floats(allow_nan=False, allow_infinity=False),
        st.sampled_from([0.0, -0.0, 100.0, 1e-05, 1e16, 1e22, 5e-324]),
        st.text(max_size=20),
        st.text(NOTATION, max_size=20),
        st.binary(max_size=20),
        identifiers().map(Handle),
    )


def contracts(fields: st.SearchStrategy[Value]) -> st.SearchStrategy[Contract]:
    """Draw contracts with `fields` under any ascending numbers."""
    numbers = st.integers(0, 9) | st.integers(0, MAX_INTEGER)
    by_number = st.dictionaries(numbers, fields, max_size=5).map(lambda d: tuple(sorted(d.items(), key=_number)))
    return st.builds(Contract, numbers, by_number)


def values() -> st.SearchStrategy[Value]:
    """Draw every value that HLX can express."""
    return st.recursive(
        scalars(),
        lambda inner: st.one_of(
            st.lists(inner, max_size=5), st.dictionaries(keys(), inner, max_size=5), contracts(inner)
        ),
        max_leaves=12,
    )


def _number(field: tuple[int, Value]) -> int:
    return field[0]
