"""Bounds on the body of a request: its length, also if the request does not say it, and the time that it takes.

The application starts when the whole body is there.
"""

import asyncio
from collections.abc import Callable

from hlx_model.serving.guard import App, Message, Receive, Scope, Send

Refuse = Callable[[str, int, str], App]
"""Returns the application that answers a request for a path with a status and one line of detail."""


def bounded(app: App, refuse: Refuse, *, most_bytes: int, seconds: float | None = None) -> App:
    """Return an application that answers 413 to a body that is too long, and 408 to one that takes too long.

    Args:
        app: gets the other requests.
        refuse: makes the answer.
        most_bytes: of a body.
        seconds: of a body; None for any.
    """

    async def with_bounds(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await app(scope, receive, send)
        body, whole = bytearray(), False
        try:
            async with asyncio.timeout(seconds):
                while not whole and len(body) <= most_bytes:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        return None
                    body += message.get("body", b"")
                    whole = not message.get("more_body", False)
        except TimeoutError:
            return await refuse(scope["path"], 408, f"the body took longer than {seconds:g} seconds")(
                scope, receive, send
            )
        if len(body) > most_bytes:
            return await refuse(scope["path"], 413, f"the body is longer than {most_bytes:,} bytes")(
                scope, receive, send
            )
        first = True

        async def receive_read() -> Message:
            nonlocal first
            if not first:
                return await receive()
            first = False
            return {"type": "http.request", "body": bytes(body), "more_body": False}

        return await app(scope, receive_read, send)

    return with_bounds
