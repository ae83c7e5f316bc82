"""Reading what a provider sent, of which nothing is believed."""

import json
from typing import Any

from hlx_model.files import canonical_json
from hlx_model.providers.question import Question

MOST_TOKENS = 100_000_000
"""No call has more; a provider that counts more does not count."""


def text_of(value: Any) -> str:
    """Return a text; empty if it is none."""
    return value if isinstance(value, str) else ""


def part_of(value: Any, name: str) -> dict[str, Any]:
    """Return an object that is a field of another; empty if it is none."""
    found = value.get(name) if isinstance(value, dict) else None
    return found if isinstance(found, dict) else {}


def number(value: Any) -> int | None:
    """Return a number of tokens; None if it is none."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST_TOKENS else None


def with_schema(question: Question) -> str:
    """Return the system prompt with the schema that the answer must have: not every model has it otherwise."""
    schema = canonical_json(dict(question.schema))
    return f"{question.system}\n\nAnswer with one JSON object and nothing else. Its JSON schema:\n{schema}"


def object_of(text: str, schema: Any) -> tuple[dict[str, Any] | None, str]:
    """Return the JSON object in an answer, and why there is none that has a schema.

    A fence of Markdown around it is removed. Keys that come twice, NaN and infinities are no JSON here.
    """
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import best_match

    inner = text.strip()
    if inner.startswith("```") and inner.endswith("```") and "\n" in inner:
        inner = inner[inner.index("\n") : -3]
    try:
        found = json.loads(inner, object_pairs_hook=_once, parse_constant=_no_number)
        canonical_json(found).encode()  # half a character, such as "\ud800", is no text
    except json.JSONDecodeError as error:
        return None, f"the answer is not JSON: {error.msg} at character {error.pos}"
    except (ValueError, RecursionError) as error:
        return None, f"the answer is not JSON: {error}"
    try:
        wrong = best_match(Draft202012Validator(schema).iter_errors(found))
    except RecursionError:
        return None, "the answer is nested too deeply"
    if wrong is not None:
        return None, f"the answer has not its schema: {wrong.json_path}: {wrong.message[:200]}"
    if not isinstance(found, dict):
        return None, "the answer is no JSON object"
    return found, ""


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key comes twice")
    return found


def _no_number(name: str) -> Any:
    raise ValueError(f"{name} is no number")
