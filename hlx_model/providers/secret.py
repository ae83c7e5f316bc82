"""A key of a provider in memory: it shows only its last four characters, whoever prints it.

secret = Secret.of(text)
str(secret)        # …a1b2
secret.reveal()    # the key itself, for the request alone
"""

import re
from typing import Any, NoReturn

SHORTEST = 20
"""Characters: of a shorter key the last four would give away too much."""
LONGEST = 1_000
SHOWABLE = 8
"""Characters of a key in a row that are never shown."""
_BEGINS = ("sk-", "xai-")


def looks_like_key(text: str) -> bool:
    """Return whether a text that should be no key begins as keys do, and is as long."""
    return len(text.strip()) >= SHORTEST and text.strip().lower().startswith(_BEGINS)


def contains_key(text: str) -> bool:
    """Return whether a word of a text looks like a key: the whole text, or what follows `=`, a colon or a quote."""
    return any(looks_like_key(word) for word in re.split(r"[\s=,;:'\"`]+-*|^-+", text))


class Secret:
    """A key; it cannot be pickled, compared or written as JSON."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    @classmethod
    def of(cls, text: str) -> "Secret":
        """Return a key that a person gave, without white space around it.

        Raises:
            ValueError: it is no key; the line repeats nothing of it.
        """
        key = text.strip()
        if not key:
            raise ValueError("the key is empty: paste it, or pipe it in as one line")
        if not (key.isascii() and key.isprintable()) or " " in key:
            raise ValueError("the key contains spaces or characters that no key has: paste it again, alone")
        if not SHORTEST <= len(key) <= LONGEST:
            raise ValueError(f"the key has {len(key)} characters: a whole key has {SHORTEST} to {LONGEST:,}")
        return cls(key)

    @property
    def last4(self) -> str:
        """Its last four characters."""
        return self._text[-4:]

    def reveal(self) -> str:
        """Return the key itself."""
        return self._text

    def is_shown_by(self, text: str) -> bool:
        """Return whether a text contains a part of it that is never shown."""
        return any(self._text[at : at + SHOWABLE] in text for at in range(len(self._text) - SHOWABLE + 1))

    def __repr__(self) -> str:
        return f"…{self.last4}"

    def __format__(self, spec: str) -> str:
        return format(str(self), spec)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a key is not pickled")

    def __eq__(self, other: Any) -> bool:
        return self is other

    __hash__ = object.__hash__
