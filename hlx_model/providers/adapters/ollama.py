"""Ollama's chat, by its own protocol: its OpenAI one cannot switch thinking off or choose the CPU."""

from typing import Any

from hlx_model.files import canonical_json
from hlx_model.providers.adapters import Endpoint, Reply
from hlx_model.providers.adapters.reading import number, part_of, text_of, with_schema
from hlx_model.providers.adapters.transport import failures, http_client, json_of
from hlx_model.providers.catalogue import Provider
from hlx_model.providers.question import Question, Usage

_CONTEXT = (4_096, 32_768)
"""Tokens, least and most. Ollama shortens silently what does not fit."""


def body(question: Question, provider: Provider, *, use_gpu: bool = False) -> dict[str, Any]:
    """Return the JSON of the request (`adapters.Adapter`)."""
    system = with_schema(question)
    needed = len(system.encode()) + len(question.user.encode()) + question.max_tokens
    options = {
        "num_predict": question.max_tokens, "temperature": 0,
        "num_ctx": min(max(-(-needed // 1024) * 1024, _CONTEXT[0]), _CONTEXT[1]),
    }  # fmt: skip
    return {
        "model": question.choice.model,
        "messages": [{"role": "system", "content": system}, {"role": "user", "content": question.user}],
        "format": dict(question.schema),
        "think": False,
        "stream": False,
        "keep_alive": 0,
        "options": options if use_gpu else {**options, "num_gpu": 0},
    }


def ask(question: Question, endpoint: Endpoint) -> Reply:
    """Send a question (`adapters.Adapter`)."""
    sent = canonical_json(body(question, endpoint.provider, use_gpu=endpoint.use_gpu)).encode()
    answer = _call(endpoint, "POST", "/api/chat", sent)
    given, made = number(answer.get("prompt_eval_count")), number(answer.get("eval_count"))
    return Reply(
        text_of(part_of(answer, "message").get("content")),
        None if given is None or made is None else Usage(given, made),
        text_of(answer.get("model")) or None,
        "length" if answer.get("done_reason") == "length" else "end",
    )


def models(endpoint: Endpoint) -> tuple[str, ...]:
    """List the models that are there (`adapters.Adapter`)."""
    found = _call(endpoint, "GET", "/api/tags").get("models")
    return tuple(one["name"] for one in found or () if isinstance(one, dict) and isinstance(one.get("name"), str))


def _call(endpoint: Endpoint, method: str, path: str, sent: bytes | None = None) -> dict[str, Any]:
    with failures(endpoint), http_client(endpoint, {"content-type": "application/json"} if sent else {}) as client:
        response = client.request(method, f"{endpoint.provider.host}{path}", content=sent)
        response.raise_for_status()
        return json_of(response, endpoint)
