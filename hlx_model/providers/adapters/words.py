"""A provider's own words on an error, as one line that contains no key."""

import json
from typing import Any

from hlx_model.providers.secret import SHOWABLE
from hlx_model.shown import one_line

LONGEST = 300
"""Characters of a provider's message that are shown."""


def without_key(text: str, key: str) -> str:
    """Return a text in which every run of eight or more characters of a key is replaced by `…`."""
    parts = {key[start : start + SHOWABLE] for start in range(len(key) - SHOWABLE + 1)}
    shown, at = [], 0
    while at < len(text):
        end = at
        while text[end : end + SHOWABLE] in parts:
            end += 1
        if end > at:
            shown.append("…")
            at = end + SHOWABLE - 1
        else:
            shown.append(text[at])
            at += 1
    return "".join(shown)


def message_of(body: str, key: str) -> str:
    """Return the message of an error's body, of any protocol, or the beginning of a body that has none."""
    try:
        found = _message(json.loads(body))
    except (ValueError, RecursionError):
        found = None
    return one_line(without_key((found or body)[:4_000], key), LONGEST)


def _message(value: Any) -> str | None:
    if not isinstance(value, dict):
        return None
    error = value.get("error")
    for found in (
        error.get("message") if isinstance(error, dict) else error,
        value.get("message"),
        value.get("detail"),
    ):
        if isinstance(found, str) and found.strip():
            return found
    return None
