"""The routes of OpenAI's API: `/v1/models`, `/v1/completions` and `/v1/chat/completions`, with streaming.

https://platform.openai.com/docs/api-reference. A completion continues its prompt as it is (`[LC-R] Sort all users → `).
A chat translates its last message: a sentence into HLXL, a line of HLX into English. Another target is named before the
text (`[LC-R] Sort all users`), or by a system message (`LC-R`). Tokens are characters. A parameter that is not offered
here is refused with 400, unless its value changes nothing.
"""

import json
import secrets
import time
import uuid
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from hlx_model.evaluation.translation import MAX_ANSWER
from hlx_model.model.generation import MAX_PROMPT
from hlx_model.model.tokenizer import unknown_characters
from hlx_model.serving.answering import require_few, submit, waiting_for
from hlx_model.serving.errors import Refused, content_of
from hlx_model.serving.guard import Receive, Scope, Send
from hlx_model.serving.jobs import Text
from hlx_model.serving.requests import Items, language, quoted, tag, translation_task
from hlx_model.serving.routes import The
from hlx_model.serving.service import Service

router = APIRouter(prefix="/v1")
NAME = "hlx-brain"
"""The name of whichever model is served; its own name is accepted too."""
_NEUTRAL: Mapping[str, Sequence[object]] = {
    "n": (1,), "best_of": (1,), "top_p": (1,), "frequency_penalty": (0,), "presence_penalty": (0,),
    "logprobs": (False,), "top_logprobs": (0,), "echo": (False,), "suffix": ("",), "logit_bias": ({},), "tools": ([],),
    "tool_choice": ("none", "auto"), "response_format": ({"type": "text"},), "modalities": (["text"],),
    "parallel_tool_calls": (True, False), "store": (False,),
}  # fmt: skip
"""Parameters of the API that this server does not have, and the values of each that change nothing, beside null."""
_IGNORED = frozenset({"user", "metadata", "safety_identifier", "prompt_cache_key", "service_tier", "verbosity"})
"""Parameters that do not change an answer."""
_MAX_STOPS = 4


class _StreamOptions(BaseModel):
    include_usage: bool | None = None


class _Parameters(BaseModel):
    """What a completion and a chat have in common."""

    model_config = ConfigDict(extra="allow", use_attribute_docstrings=True)

    model: str
    """`hlx-brain`, or the name of the checkpoint that is served."""
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    """The most tokens of an answer; by default 200."""
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    """0, the default, gives the same answer every time."""
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] | None = None
    stop: str | Items[str] | None = None
    stream: bool | None = None
    stream_options: _StreamOptions | None = None

    @property
    def limit(self) -> int:
        """The most tokens of an answer."""
        return self.max_completion_tokens or self.max_tokens or MAX_ANSWER

    @property
    def stops(self) -> list[str]:
        """The texts before which an answer ends."""
        return [self.stop] if isinstance(self.stop, str) else self.stop or []


class CompletionRequest(_Parameters):
    """Continue texts as they are."""

    prompt: str | Items[str]
    """A text or several, such as `[LC-R] Search for documents → `."""


class _Message(BaseModel):
    role: Literal["system", "developer", "user", "assistant"]
    content: str | Items[dict[str, Any]] | None = None

    def text(self, where: str) -> str:
        if isinstance(self.content, str):
            return self.content
        parts = self.content or []
        if any(part.get("type") != "text" or not isinstance(part.get("text"), str) for part in parts):
            raise Refused(400, f"{where} may contain text alone", param="messages", code="unsupported_value")
        return "".join(part["text"] for part in parts)


class ChatRequest(_Parameters):
    """Translate the last message."""

    messages: Items[_Message]
    """The last one is the user's. A system message may only name what to translate into; others are ignored."""


@router.get("/models")
async def models(service: The) -> dict[str, Any]:
    """List the model that is served, by its two names."""
    return {"object": "list", "data": [_model(service, name) for name in (NAME, service.current.name)]}


@router.get("/models/{name:path}")
async def model(service: The, name: str) -> dict[str, Any]:
    """Return the model that is served."""
    _require_served(service, name)
    return _model(service, name)


@router.post("/completions")
async def completions(service: The, request: Request, body: CompletionRequest) -> Response:
    """Continue a text, or each of several."""
    _require_offered(service, body)
    prompts = [body.prompt] if isinstance(body.prompt, str) else body.prompt
    if not prompts:
        raise Refused(400, "prompt is an empty list: give at least one text", param="prompt")
    require_few(service, len(prompts))
    for prompt in prompts:
        if unknown := unknown_characters(prompt):
            detail = f"prompt has characters that the model does not know: {quoted(unknown)}"
            raise Refused(400, detail, param="prompt", code="invalid_value")
        if len(prompt) > MAX_PROMPT:
            detail = f"prompt has {len(prompt)} tokens, one a character, and at most {MAX_PROMPT} fit"
            raise Refused(400, detail, param="prompt", code="context_length_exceeded")
    return await _respond(_Reply(service, request, body, prompts, chat=False))


@router.post("/chat/completions")
async def chat(service: The, request: Request, body: ChatRequest) -> Response:
    """Translate the last message."""
    _require_offered(service, body)
    return await _respond(_Reply(service, request, body, [_chat_prompt(body.messages)], chat=True))


def _chat_prompt(messages: Sequence[_Message]) -> str:
    if not messages or messages[-1].role != "user":
        raise Refused(400, "the last message must be the user's: it is what is translated", param="messages")
    target = None
    text = messages[-1].text(f"messages[{len(messages) - 1}]").strip()
    try:
        for number, message in enumerate(messages):
            if message.role in ("system", "developer"):
                where = (
                    f"messages[{number}]: this model follows no instructions; a system message may only name what to "
                )
                target = language(f"{where}translate into: it", message.text(f"messages[{number}]").strip())
        if tagged := tag(text):
            target, text = language("the last message: its tag", tagged[0]), tagged[1]
        return translation_task(text, target).prompt
    except ValueError as error:
        raise Refused(400, str(error), param="messages", code="invalid_value") from None


def _require_offered(service: Service, body: _Parameters) -> None:
    """Require that the server has what a request names."""
    _require_served(service, body.model)
    for name, value in (body.model_extra or {}).items():
        if value is None or name in _IGNORED or value in _NEUTRAL.get(name, ()):
            continue
        known = name in _NEUTRAL
        detail = f"{quoted(name)} is not offered here" if known else f"{quoted(name)} is no parameter of this route"
        raise Refused(400, detail, param=name[:40].encode("ascii", "replace").decode(), code="unsupported_parameter")
    if len(body.stops) > _MAX_STOPS or "" in body.stops:
        raise Refused(400, f"stop must be at most {_MAX_STOPS} texts, none of them empty", param="stop")


def _require_served(service: Service, name: str) -> None:
    if name not in (NAME, service.current.name):
        detail = f"the model {quoted(name)} is not served here: it is {NAME}, which is {service.current.name} now"
        raise Refused(404, detail, param="model", code="model_not_found")


def _model(service: Service, name: str) -> dict[str, Any]:
    now = service.current
    created = int(datetime.fromisoformat(now.model.manifest.created).timestamp())
    return {
        "id": name, "object": "model", "created": created, "owned_by": "hlx-brain", "checkpoint": now.name,
        "verdict": now.verdict,
    }  # fmt: skip


class _Reply:
    """The reply to one request: its texts, which grow, and how the API writes them."""

    def __init__(
        self, service: Service, request: Request, body: _Parameters, prompts: Sequence[str], *, chat: bool
    ) -> None:
        self.service, self.request, self.body, self.chat = service, request, body, chat
        seed = secrets.randbits(63) if body.seed is None else body.seed
        self.texts = [
            Text(prompt, body.limit, body.temperature or 0.0, (seed + index) % 2**63)
            for index, prompt in enumerate(prompts)
        ]
        self.serving, self.job = submit(service, request, self.texts, each_token=bool(body.stream or body.stops))
        self.head = {
            "id": f"{'chatcmpl' if chat else 'cmpl'}-{uuid.uuid4().hex}", "created": int(time.time()),
            "model": self.serving.name, "verdict": self.serving.verdict,
        }  # fmt: skip

    def written(self, text: Text) -> tuple[str, str | None]:
        """Return what is written of a text, and why it has ended; None while it has not.

        What may be the beginning of a stop text is held back until it is known.
        """
        found = text.written
        cut = min((at for stop in self.body.stops if (at := found.find(stop)) >= 0), default=None)
        if cut is not None:
            self.job.cancel(text)
            return found[:cut], "stop"
        if text.end:
            return found, text.end
        longest = max(map(len, self.body.stops), default=1)
        return found[: max(0, len(found) - longest + 1)], None

    def ended(self) -> bool:
        """Return whether all texts have ended; a stop text ends its own."""
        ends = [self.written(text)[1] for text in self.texts]
        return all(ends)

    async def wait(self) -> None:
        """Wait until something more is written; `Refused` with 500 if the model could not write."""
        if self.job.problem:
            raise Refused(500, self.job.problem)
        if not self.job.done:
            await self.job.changed()

    def usage(self) -> dict[str, int]:
        """Return the number of tokens: the characters of prompts and answers."""
        prompt = sum(len(text.prompt) for text in self.texts)
        completion = sum(len(self.written(text)[0]) for text in self.texts)
        return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}

    def whole(self) -> dict[str, Any]:
        """Return the reply in one piece."""
        choices = []
        for index, text in enumerate(self.texts):
            found, reason = self.written(text)
            content = {"message": {"role": "assistant", "content": found}} if self.chat else {"text": found}
            choices.append({"index": index, **content, "logprobs": None, "finish_reason": reason})
        kind = "chat.completion" if self.chat else "text_completion"
        return {**self.head, "object": kind, "choices": choices, "usage": self.usage()}

    def chunk(self, choices: list[dict[str, Any]], **more: Any) -> str:
        """Return a server-sent event with a part of the reply."""
        kind = "chat.completion.chunk" if self.chat else "text_completion"
        return _event({**self.head, "object": kind, "choices": choices, **more})

    async def events(self) -> AsyncGenerator[str, None]:
        """Yield the reply as server-sent events, each with what is new."""
        sent, open_texts = [0] * len(self.texts), set(range(len(self.texts)))
        try:
            async with waiting_for(self.service, self.request, self.job):
                if self.chat:
                    yield self.chunk([self._part(0, {"role": "assistant", "content": ""}, None)])
                while open_texts:
                    await self.wait()
                    for index in sorted(open_texts):
                        found, reason = self.written(self.texts[index])
                        if new := found[sent[index] :]:
                            sent[index] = len(found)
                            yield self.chunk([self._part(index, {"content": new}, None)])
                        if reason:
                            open_texts.remove(index)
                            yield self.chunk([self._part(index, {}, reason)])
        except Refused as error:
            yield _event(content_of("/v1/", error))
            return
        if self.body.stream_options and self.body.stream_options.include_usage:
            yield self.chunk([], usage=self.usage())
        yield "data: [DONE]\n\n"

    def _part(self, index: int, delta: dict[str, str], reason: str | None) -> dict[str, Any]:
        content = {"delta": delta} if self.chat else {"text": delta.get("content", "")}
        return {"index": index, **content, "logprobs": None, "finish_reason": reason}


class _Events(StreamingResponse):
    """The stream of a reply, whose texts end at once when it ends: also if its client does not read, or never did."""

    def __init__(self, reply: _Reply) -> None:
        self._reply, self._events = reply, reply.events()
        super().__init__(self._events, media_type="text/event-stream", headers={"Cache-Control": "no-store"})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            async with aclosing(self._events):
                await super().__call__(scope, receive, send)
        finally:
            self._reply.job.cancel()


async def _respond(reply: _Reply) -> Response:
    if reply.body.stream:
        return _Events(reply)
    async with waiting_for(reply.service, reply.request, reply.job):
        while not reply.ended():
            await reply.wait()
    return JSONResponse(reply.whole())


def _event(content: Mapping[str, Any]) -> str:
    return f"data: {json.dumps(content, ensure_ascii=False)}\n\n"
