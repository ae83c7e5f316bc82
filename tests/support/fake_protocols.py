"""How each protocol words a question and an answer: Anthropic's messages, Ollama's chat, OpenAI's chat completions."""

from collections.abc import Mapping, Sequence
from typing import Any


def question_of(provider: str, body: Mapping[str, Any]) -> tuple[Mapping[str, Any], str, str]:
    """Return the schema, the system prompt and the prompt of a request."""
    said = {message["role"]: message["content"] for message in body["messages"]}
    if provider == "claude":
        return body.get("output_config", {}).get("format", {}).get("schema", {}), body.get("system", ""), said["user"]
    if provider == "qwen":
        return body.get("format", {}), said.get("system", ""), said["user"]
    return (
        body.get("response_format", {}).get("json_schema", {}).get("schema", {}),
        said.get("system", ""),
        said["user"],
    )


_FINISH = {"max_tokens": "length"}


def reply_of(provider: str, model: str, written: str, kind: str, tokens: Sequence[int]) -> dict[str, Any]:
    """Return an answer as the provider words it; tokens are those of the input, of the output, and of all."""
    given, made_tokens, total = tokens
    written = written[: len(written) // 2] if kind == "max_tokens" else written
    refused, none = kind == "refusal", kind == "no_content"
    made: dict[str, Any]
    if provider == "claude":
        stop = {"refusal": "refusal", "max_tokens": "max_tokens"}.get(kind, "end_turn")
        made = {
            "id": "msg_1", "type": "message", "role": "assistant", "model": model, "stop_reason": stop,
            "stop_sequence": None, "content": [] if refused or none else [{"type": "text", "text": written}],
            "usage": {"input_tokens": given, "output_tokens": made_tokens},
        }  # fmt: skip
    elif provider == "qwen":
        said = "I cannot help with that." if refused else written
        made = {
            "model": model, "created_at": "2026-11-29T00:00:00Z", "done": True,
            "message": {"role": "assistant", "content": "" if none else said},
            "done_reason": _FINISH.get(kind, "stop"),
            "prompt_eval_count": given, "eval_count": made_tokens,
        }  # fmt: skip
    else:
        message = {"role": "assistant", "content": None if refused or none else written, "refusal": None}
        if refused:
            message["refusal"] = "I cannot help with that."
        made = {
            "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": model,
            "choices": [{"index": 0, "message": message, "finish_reason": _FINISH.get(kind, "stop")}],
            "usage": {"prompt_tokens": given, "completion_tokens": made_tokens, "total_tokens": total},
        }  # fmt: skip
    if kind == "no_usage":
        for name in ("usage", "prompt_eval_count", "eval_count"):
            made.pop(name, None)
    return made


def example_of(schema: Mapping[str, Any]) -> Any:
    """Return a small value that has a JSON schema; enough of the language for the schemas of this project."""
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return schema["enum"][0]
    if "anyOf" in schema:
        return example_of(schema["anyOf"][0])
    named = schema.get("type", "object")
    match named if isinstance(named, str) else named[0]:
        case "object":
            return {name: example_of(part) for name, part in schema.get("properties", {}).items()}
        case "array":
            return [example_of(schema.get("items", {"type": "string"}))] * schema.get("minItems", 0)
        case "string":
            return "x" * max(1, schema.get("minLength", 1))
        case "integer" | "number":
            return schema.get("minimum", 1)
        case "boolean":
            return True
    return None
