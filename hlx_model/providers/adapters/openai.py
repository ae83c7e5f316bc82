"""OpenAI's chat completions, which xAI and others offer too."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import openai

from hlx_model.providers.adapters import Endpoint, Reply, strict_schema
from hlx_model.providers.adapters.reading import number, part_of, text_of, with_schema
from hlx_model.providers.adapters.transport import failures, http_client, json_of
from hlx_model.providers.catalogue import Provider
from hlx_model.providers.question import Question, Usage

# OpenAI itself: no faster and dearer service that a project may have set, and nothing stored there.
_OPENAI = {"service_tier": "default", "store": False}


def body(question: Question, provider: Provider) -> dict[str, Any]:
    """Return the JSON of the request (`adapters.Adapter`)."""
    schema = {"name": "answer", "strict": True, "schema": strict_schema(question.schema)}
    return {
        "model": question.choice.model,
        "messages": [
            {"role": "system", "content": with_schema(question)},
            {"role": "user", "content": question.user},
        ],
        "max_completion_tokens": question.max_tokens,
        "response_format": {"type": "json_schema", "json_schema": schema},
        **(_OPENAI if provider.name == "openai" else {}),
    }


def ask(question: Question, endpoint: Endpoint) -> Reply:
    """Send a question (`adapters.Adapter`)."""
    with _client(endpoint) as client:
        raw = client.chat.completions.with_raw_response.create(**body(question, endpoint.provider))
        answer = json_of(raw.http_response, endpoint)
    choices = answer.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else {}
    message = part_of(choice, "message")
    refusal, ended = text_of(message.get("refusal")), choice.get("finish_reason")
    if refusal or ended == "content_filter":
        return Reply(refusal or "its content filter", _usage(answer), _model(answer), "refused")
    return Reply(
        text_of(message.get("content")), _usage(answer), _model(answer), "length" if ended == "length" else "end"
    )


def models(endpoint: Endpoint) -> tuple[str, ...]:
    """List the models (`adapters.Adapter`)."""
    with _client(endpoint) as client:
        found = json_of(client.models.with_raw_response.list().http_response, endpoint).get("data")
    return tuple(one["id"] for one in found or () if isinstance(one, dict) and isinstance(one.get("id"), str))


@contextmanager
def _client(endpoint: Endpoint) -> Iterator[openai.OpenAI]:
    headers = {"authorization": f"Bearer {endpoint.key}"} if endpoint.key else {}
    with failures(endpoint), http_client(endpoint, headers) as http:
        yield openai.OpenAI(
            api_key=endpoint.key or "none", base_url=endpoint.provider.host, max_retries=0, http_client=http
        )


def _model(answer: dict[str, Any]) -> str | None:
    return text_of(answer.get("model")) or None


def _usage(answer: dict[str, Any]) -> Usage | None:
    """Return the tokens. xAI counts those of reasoning in the total alone."""
    counts = answer.get("usage")
    if not isinstance(counts, dict):
        return None
    given, made, total = (number(counts.get(f"{name}_tokens")) for name in ("prompt", "completion", "total"))
    if given is None or made is None:
        return None
    return Usage(given, max(made, (total or 0) - given))
