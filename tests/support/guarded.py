"""A guarded application that is asked without a server."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hlx_model.serving.guard import GuardSettings, Message, Receive, RequestGuard, Scope, Send

HERE = "127.0.0.1:3000"
JSON = {"content-type": "application/json", "content-length": "2"}
TOKEN = "correct-horse"
NO_SETTINGS = GuardSettings()


@dataclass
class Answer:
    """The answer of a guarded server."""

    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


def ask(
    method: str = "GET",
    headers: Mapping[str, str] | Sequence[tuple[str, str]] = (),
    *,
    settings: GuardSettings = NO_SETTINGS,
    host: str | None = HERE,
    path: str = "/",
    query: str = "",
    kind: str = "http",
    **guard: Any,
) -> Answer:
    """Send one request to a server that answers 200 (101 to a WebSocket) if its guard does not refuse it."""
    answer = Answer()
    given = [("host", host)] if host is not None else []
    given += headers.items() if isinstance(headers, Mapping) else headers
    scope: Scope = {
        "type": kind, "method": method, "path": path, "raw_path": path.encode(), "query_string": query.encode(),
        "scheme": "http", "headers": [(name.encode(), value.encode("latin-1")) for name, value in given],
    }  # fmt: skip

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.accept"})
        else:
            await send({"type": "http.response.start", "status": 200, "headers": [(b"x-app", b"yes")]})
            await send({"type": "http.response.body", "body": b"done"})

    async def send(message: Message) -> None:
        if message["type"] in ("websocket.accept", "websocket.close"):
            answer.status = 101 if message["type"] == "websocket.accept" else 403
        elif message["type"] == "http.response.start":
            answer.status = message["status"]
            answer.headers = {name.decode(): value.decode() for name, value in message["headers"]}
        else:
            answer.body += message["body"]

    async def receive() -> Message:
        raise AssertionError("the guard reads no body")

    asyncio.run(RequestGuard(app, settings, **guard)(scope, receive, send))
    return answer
