"""Count how often a function is called, and with what."""

from collections.abc import Callable
from typing import Any, TypeVar

import pytest

T = TypeVar("T")


def calls_of(patch: pytest.MonkeyPatch, owner: object, name: str, note: Callable[..., T]) -> list[T]:
    """Return a list that grows by `note(*arguments)` with each call of `owner.name`, which does what it did before."""
    found, own = list[T](), getattr(owner, name)

    def noted(*arguments: Any, **named: Any) -> Any:
        found.append(note(*arguments, **named))
        return own(*arguments, **named)

    patch.setattr(owner, name, noted)
    return found
