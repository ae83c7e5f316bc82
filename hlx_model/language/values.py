"""The values of HLX as Python objects, their limits, and strict equality of them."""

import re
from dataclasses import dataclass

MAX_DEPTH = 100
MIN_INTEGER, MAX_INTEGER = -(2**63), 2**63 - 1

IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
RESERVED_KEY = "C"  # {C:14} is a contract in LC-T


@dataclass(frozen=True, slots=True)
class Handle:
    """A name that refers to something.

    Raises:
        ValueError: `name` is no identifier.
    """

    name: str

    def __post_init__(self) -> None:
        if type(self.name) is not str or not IDENTIFIER.fullmatch(self.name):
            raise ValueError(f"a handle's name is an identifier such as documents, not {self.name!r}")


@dataclass(frozen=True, slots=True)
class Contract:
    """A numeric id, and values under strictly ascending field numbers.

    `==` compares as Python does, so that `True == 1 == 1.0`; `same` compares as HLX does.

    Raises:
        ValueError: the id or a field number is out of range, or the field numbers do not ascend.
    """

    id: int
    fields: "Fields"

    def __post_init__(self) -> None:
        if not _is_natural(self.id):
            raise ValueError(f"a contract id is an integer from 0 to 2**63 - 1, not {self.id!r}")
        if type(self.fields) is not tuple:
            raise ValueError(f"contract fields are a tuple of (number, value), not {self.fields!r}")
        previous = -1
        for field in self.fields:
            if type(field) is not tuple or len(field) != 2:
                raise ValueError(f"a contract field is a pair (number, value), not {field!r}")
            number = field[0]
            if not _is_natural(number) or number <= previous:
                raise ValueError(f"field numbers ascend, 0 to 2**63 - 1: {number!r} cannot follow {previous}")
            previous = number


Value = None | bool | int | float | str | bytes | Handle | Contract | list["Value"] | dict[str, "Value"]
Fields = tuple[tuple[int, Value], ...]


def same(a: Value, b: Value) -> bool:
    """Return whether two values are strictly equal.

    `True`, `1` and `1.0` differ, `0.0` and `-0.0` differ, and the order of keys counts.
    """
    return repr(a) == repr(b)


def _is_natural(number: int) -> bool:
    return type(number) is int and 0 <= number <= MAX_INTEGER
