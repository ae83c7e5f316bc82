"""Anthropic's messages."""

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import anthropic

from hlx_model.providers.adapters import Endpoint, Reply, strict_schema
from hlx_model.providers.adapters.reading import number, text_of, with_schema
from hlx_model.providers.adapters.transport import failures, http_client, json_of
from hlx_model.providers.catalogue import Provider
from hlx_model.providers.question import Question, Usage

_NO_SCHEMA = re.compile(r"claude-(2|3|instant|(opus|sonnet)-4(-0|-1)?(-\d{8})?$)")
"""Models before structured output. They have the schema from the prompt alone."""
_INPUT = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")


def body(question: Question, provider: Provider) -> dict[str, Any]:
    """Return the JSON of the request (`adapters.Adapter`)."""
    made: dict[str, Any] = {
        "model": question.choice.model,
        "max_tokens": question.max_tokens,
        "system": with_schema(question),
        "messages": [{"role": "user", "content": question.user}],
        "service_tier": "standard_only",
    }
    if not _NO_SCHEMA.match(question.choice.model):
        made["output_config"] = {"format": {"type": "json_schema", "schema": strict_schema(question.schema)}}
    return made


def ask(question: Question, endpoint: Endpoint) -> Reply:
    """Send a question (`adapters.Adapter`)."""
    with _client(endpoint) as client:
        raw = client.messages.with_raw_response.create(**body(question, endpoint.provider))
        answer = json_of(raw.http_response, endpoint)
    parts = answer.get("content")
    text = "".join(
        text_of(part.get("text")) for part in (parts if isinstance(parts, list) else ())
        if isinstance(part, dict) and part.get("type") == "text"
    )  # fmt: skip
    usage, model, stop = _usage(answer), text_of(answer.get("model")) or None, answer.get("stop_reason")
    if stop == "refusal":
        return Reply(text or "the model declines", usage, model, "refused")
    return Reply(text, usage, model, "length" if stop in ("max_tokens", "model_context_window_exceeded") else "end")


def models(endpoint: Endpoint) -> tuple[str, ...]:
    """List the models (`adapters.Adapter`)."""
    with _client(endpoint) as client:
        found = json_of(client.models.with_raw_response.list(limit=1000).http_response, endpoint).get("data")
    return tuple(one["id"] for one in found or () if isinstance(one, dict) and isinstance(one.get("id"), str))


@contextmanager
def _client(endpoint: Endpoint) -> Iterator[anthropic.Anthropic]:
    headers = {"x-api-key": endpoint.key}
    with failures(endpoint), http_client(endpoint, headers) as http, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # on models that end soon
        yield anthropic.Anthropic(
            api_key=endpoint.key or "none", base_url=endpoint.provider.host, max_retries=0, http_client=http,
            open_telemetry=False,
        )  # fmt: skip


def _usage(answer: dict[str, Any]) -> Usage | None:
    counts = answer.get("usage")
    if not isinstance(counts, dict):
        return None
    given, made = number(counts.get("input_tokens")), number(counts.get("output_tokens"))
    if given is None or made is None:
        return None
    return Usage(sum(number(counts.get(name)) or 0 for name in _INPUT), made)
