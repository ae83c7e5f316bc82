"""The application of `hlx serve`: routes, errors of one line, bounds and metrics, without the request guard."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException

import hlx_model
from hlx_model.serving import openai_api, routes
from hlx_model.serving.answering import ANSWERED_BY
from hlx_model.serving.bounded import bounded
from hlx_model.serving.errors import Refused, answer
from hlx_model.serving.guard import App, Message, Receive, Scope, Send
from hlx_model.serving.service import Service
from hlx_model.shown import one_line

VERDICT = b"x-hlx-verdict"
PATHS = (
    "/translate", "/query", "/reload", "/health", "/status", "/metrics", "/v1/models", "/v1/completions",
    "/v1/chat/completions",
)  # fmt: skip
_ERRORS_SHOWN, _LONGEST = 3, 40
"""Errors of one body, and characters of the name of a field, that an answer repeats."""
_OTHER_KIND = frozenset({"list_type", "model_attributes_type"})
"""Errors of a body that is an object where a list may be, or a list where an object may be."""
_OBJECT = "an object is expected, or a list of objects where the route takes several"
_KINDS = frozenset({"TranslateRequest", "list[TranslateRequest]", "str", "list[str]"})
"""Parts of the place of an error that are no field."""


def create_app(service: Service, *, watch: bool = False) -> App:
    """Return the ASGI application that serves a model.

    Args:
        service: the model.
        watch: whether newer checkpoints are taken up by themselves.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        watching = asyncio.create_task(service.watch()) if watch else None
        yield
        if watching is not None:
            watching.cancel()
        service.current.engines.end()

    app = FastAPI(
        title="HLX Brain", version=hlx_model.__version__, lifespan=lifespan, docs_url=None, redoc_url=None,
        redirect_slashes=False,
        description="A finished model. Its errors are {\"detail\": \"…\"}; below /v1/ they are those of OpenAI's API.",
    )  # fmt: skip
    app.state.service = service
    app.include_router(routes.router)
    app.include_router(openai_api.router)
    app.add_exception_handler(Refused, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(Exception, _failed)
    limits = service.limits
    whole = bounded(
        app, lambda path, status, detail: answer(path, Refused(status, detail)),
        most_bytes=limits.body_bytes, seconds=limits.body_seconds,
    )  # fmt: skip
    return _measured(whole, service)


def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)
    return answer(request.url.path, error)


def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    found = error.errors()
    # A body may be an object or a list: what is said of the other kind does not help.
    found = [one for one in found if one["type"] not in _OTHER_KIND] or [{**found[0], "msg": _OBJECT}]
    lines = dict.fromkeys(_said(one) for one in found)
    path = [part for part in found[0]["loc"][1:] if part not in _KINDS]
    detail = "; ".join(list(lines)[:_ERRORS_SHOWN])
    return answer(request.url.path, Refused(422, detail, param=str(path[0]) if path else None))


def _said(error: Any) -> str:
    """Return one line on a field that is not valid: its name and what it must be. The value is not repeated."""
    if error["type"] == "json_invalid":
        return "the body is not JSON"
    where = ".".join(str(part)[:_LONGEST] for part in error["loc"][1:] if part not in _KINDS)
    message = str(error["msg"]).removeprefix("Value error, ")
    return one_line(f"{where or 'the body'}: {message[:1].lower()}{message[1:]}")


def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    lines = {
        400: "the body is not JSON",
        404: f"there is nothing here: {', '.join(PATHS)}",
        405: "no such method here",
    }
    detail = lines.get(error.status_code, str(error.detail))
    response = answer(request.url.path, Refused(422 if error.status_code == 400 else error.status_code, detail))
    response.headers.update(error.headers or {})
    return response


def _failed(request: Request, error: Exception) -> Response:
    return answer(request.url.path, Refused(500, f"an error of this server ({type(error).__name__}): see its log"))


def _measured(app: App, service: Service) -> App:
    """Count requests and their seconds, and name the verdict in every answer."""

    async def measured(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await app(scope, receive, send)
        began, status = time.perf_counter(), 0

        async def send_with_verdict(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                verdict = (VERDICT, scope.get(ANSWERED_BY, service.current.verdict).encode())
                message = {**message, "headers": [*message["headers"], verdict]}
            await send(message)

        try:
            return await app(scope, receive, send_with_verdict)
        finally:
            route = getattr(scope.get("route"), "path", "other")
            service.metrics.requests.labels(route, str(status)).inc()
            service.metrics.seconds.labels(route).observe(time.perf_counter() - began)

    return measured
