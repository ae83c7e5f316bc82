"""The application: routes, page, errors of one line, and a content security policy. `__main__.py` serves it."""

import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException

import hlx_model
from hlx_assets.center import api, pages, provider_api, provider_pages
from hlx_assets.center.api import SeeOther
from hlx_assets.center.context import Center, CenterError
from hlx_assets.center.feed import Feed, running
from hlx_assets.center.models import Problem
from hlx_assets.center.rendering import STATIC, render
from hlx_model.serving.bounded import bounded
from hlx_model.serving.guard import App, Message, Receive, Scope, Send
from hlx_model.shown import one_line

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""Everything that the page shows comes from this server, and no other page may frame it."""
SCHEMA = "/api/openapi.json"
"""Below `/api/`, which a proxy forwards, as the page of the routes is."""
MAX_BODY = 1 << 20
"""Bytes of a request's body."""


def create_app(center: Center) -> App:
    """Return the ASGI application of a Training Center, without the request guard."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.feed = Feed(center)
        async with running(app.state.feed):
            yield

    app = FastAPI(
        title="HLX Brain Training Center", version=hlx_model.__version__, lifespan=lifespan, docs_url=None,
        redoc_url=None, openapi_url=SCHEMA,
        description="Queue trainings and watch them. A session is a Dagster run. Errors are {\"detail\": \"…\"}.",
    )  # fmt: skip
    app.state.center = center
    app.include_router(api.router)
    app.include_router(provider_api.router)
    app.include_router(api.live)
    app.include_router(pages.router, include_in_schema=False)
    app.include_router(provider_pages.router, include_in_schema=False)
    for path in ("/docs", "/api/docs"):
        app.add_api_route(path, _documentation, include_in_schema=False)
    app.mount("/center/static", StaticFiles(directory=STATIC), name="static")
    app.add_exception_handler(CenterError, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(SeeOther, _see_other)
    return _with_headers(bounded(app, lambda path, status, detail: _problem(status, detail), most_bytes=MAX_BODY))


def _documentation(request: Request) -> Response:
    """Return the page of the routes, from the OpenAPI schema."""
    schema = request.app.openapi()
    routes = [
        (method.upper(), path, route["tags"][0], route["description"])
        for path, methods in schema["paths"].items() for method, route in methods.items()
    ]  # fmt: skip
    return HTMLResponse(render("docs", title="Routes – HLX Brain", routes=routes, about=schema["info"]["description"]))


def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, CenterError)
    return _problem(error.status, error.detail)


def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return _problem(422, "; ".join(_said(one) for one in error.errors()[:3]))


def _said(error: Any) -> str:
    """Return one line on a field that is not valid: its name and what it must be."""
    where: Sequence[object] = error["loc"][1:]  # after body, query or path
    if error["type"] == "json_invalid":
        return "the body is not JSON"
    if error["type"] == "extra_forbidden" and not re.fullmatch(r"[A-Za-z_]{1,40}", str(where[-1] if where else "")):
        return "a field of the body is not known: see /api/docs"  # it is not repeated: it may be a key
    message = str(error["msg"]).removeprefix("Value error, ")
    return f"{'.'.join(map(str, where)) or error['loc'][0]}: {message[:1].lower()}{message[1:]}"


def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    lines = {
        404: f"there is nothing at {request.url.path}: /api/docs lists the routes",
        405: "no such method here: see /api/docs",
    }
    response = _problem(error.status_code, lines.get(error.status_code, str(error.detail)))
    response.headers.update(error.headers or {})
    return response


def _see_other(request: Request, error: Exception) -> Response:
    assert isinstance(error, SeeOther)
    return RedirectResponse(error.path, 303, headers={"vary": "accept"})


def _problem(status: int, detail: str) -> Response:
    return JSONResponse(Problem(detail=one_line(detail)).model_dump(), status)


def _with_headers(app: App) -> App:
    """Add the content security policy and its kin to every answer that has none."""
    headers = {
        b"content-security-policy": POLICY.encode(), b"x-content-type-options": b"nosniff",
        b"referrer-policy": b"same-origin",
    }  # fmt: skip

    async def with_headers(scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = {name.lower() for name, _ in message["headers"]}
                more = [(name, value) for name, value in headers.items() if name not in own]
                message = {**message, "headers": [*message["headers"], *more]}
            await send(message)

        await app(scope, receive, send_with_headers)

    return with_headers
