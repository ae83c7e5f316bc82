"""The pages of the Training Center, and the forms on them.

Without JavaScript a form answers with the page; with it (htmx sends `HX-Request`), with the part that has changed. A
request that cannot be done is one line on the page, beside what was typed.
"""

from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from fastapi.routing import APIRoute

from hlx_assets.center import checkpoints, history, launch, sessions
from hlx_assets.center.context import Center, CenterError
from hlx_assets.center.estimate import estimate
from hlx_assets.center.forms import Form, checked, form_of, start_request
from hlx_assets.center.models import StartAnswer
from hlx_assets.center.parts import PARTS, NewSession, Reading, Said, SessionView
from hlx_assets.center.rendering import NAME, STATIC, label, page_title, render, static
from hlx_assets.center.requests import ExportRequest, MoveRequest, StartRequest, TestRequest

__all__ = ["STATIC", "html", "is_htmx", "page", "page_router", "router"]

REPORT_POLICY = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:"
"""A report has styles and drawings of its own, quotes what a model wrote, and runs nothing."""
MIN_COMPARED, MAX_COMPARED = 2, 4
_NO_STORE = {"Cache-Control": "no-store"}
_TEXT = {**_NO_STORE, "X-Content-Type-Options": "nosniff", "Content-Security-Policy": "sandbox; default-src 'none'"}


class _PageRoute(APIRoute):
    """A route whose refusals are pages."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler, which turns a `CenterError` into a page or, for htmx, into a line."""
        handle = super().get_route_handler()

        async def handled(request: Request) -> Response:
            try:
                return await handle(request)
            except CenterError as error:
                if is_htmx(request):
                    return html(render("parts/problem", problem=error.detail))
                content = render("error", title=_WORDS.get(error.status, "Not done"), problem=error.detail)
                return html(content, error.status)

        return handled


_WORDS = {404: "Not found", 409: "Not possible now", 422: "Not understood"}


def page_router() -> APIRouter:
    """Return a router whose refusals are pages."""
    return APIRouter(route_class=_PageRoute, include_in_schema=False)


router = page_router()


def _center(request: Request) -> Center:
    center: Center = request.app.state.center
    return center


The = Annotated[Center, Depends(_center)]


def is_htmx(request: Request) -> bool:
    """Return whether a request is one of the script of the page, which wants a part of it."""
    return request.headers.get("HX-Request") == "true"


def html(content: str, status: int = 200, headers: Mapping[str, str] = _NO_STORE) -> HTMLResponse:
    """Return a page, or a part of it, which no browser keeps."""
    return HTMLResponse(content, status, {**_NO_STORE, **headers})


def page(reading: Reading, status: int = 200) -> HTMLResponse:
    """Return the page of the Center."""
    content = {name: reading.part(name, fragment=False) for name in PARTS}
    return html(render("center", title=reading.title, parts=content), status)


@router.get("/")
@router.get("/center/start")  # the address that a refused form leaves in the browser
def root() -> Response:
    """Redirect to the page."""
    return RedirectResponse("/center", 307)


@router.get("/favicon.ico")
def icon() -> Response:
    """Redirect to the icon: browsers ask for it on pages that name none, such as a model card."""
    return RedirectResponse(static("icon.svg"), 307)


@router.get("/center")
def center_page(center: The, clone: str | None = None, change: str | None = None) -> Response:
    """Return the page; its form has the settings of the session to clone or to change."""
    form = NewSession()
    if source := change or clone:
        found = sessions.session(center, source)
        form = NewSession(values=form_of(found), replaces=found if change and found.status == "queued" else None)
    return page(Reading(center, form))


@router.get("/center/parts/{name}")
def part(center: The, name: str) -> Response:
    """Return one part of the page as it is now."""
    if name not in PARTS:
        raise CenterError(404, f"the page has no part {name[:50]!r}")
    return html(Reading(center).part(name, fragment=True))


@router.post("/center/start")
def start(center: The, request: Request, form: Form) -> Response:
    """Estimate or start a session."""
    new, status = _started(center, form)
    if is_htmx(request):
        return html(Reading(center, new).part("form"), headers={"HX-Trigger": "changed"} if new.started else {})
    if new.started:
        return RedirectResponse(f"/center#session-{new.started.id}", 303)
    return page(Reading(center, new), status)


def _started(center: Center, form: dict[str, str]) -> tuple[NewSession, int]:
    """Do what the form of a new session says; return the form to show next, and an HTTP status."""
    new, asked = NewSession(values=form, key=form.get("key") or NewSession().key), None
    try:
        if form.get("replaces"):
            new = replace(new, replaces=sessions.session(center, form["replaces"]))
        asked = start_request(form)
        if form.get("action") == "estimate":
            return replace(new, estimate=estimate(center, asked)), 200
        return NewSession(started=_in_its_place(center, asked, new)), 201
    except CenterError as error:
        new = replace(new, problem=error.detail)
        if asked:
            # The estimate says what would fit, and has the tick that a long training needs.
            with suppress(CenterError):
                new = replace(new, estimate=(found := estimate(center, asked)))
                if found.must_confirm and not asked.confirmed:
                    new = replace(new, problem="It must be confirmed: tick the box, and start it again.")
        return new, error.status


def _in_its_place(center: Center, asked: StartRequest, new: NewSession) -> StartAnswer:
    """Start a session, in the place of a queued one if the form names it; that one is kept if anything fails."""
    answer, old = launch.start(center, asked, new.key), new.replaces
    if old is None:
        return answer
    try:
        launch.delete(center, old.id)
    except CenterError:
        launch.delete(center, answer.id)
        raise
    if old.position is None:
        return answer
    moved = launch.move(center, answer.id, MoveRequest(position=old.position))
    return answer.model_copy(update={"position": moved.position})


def _move(center: Center, session_id: str, by: int) -> str:
    position = sessions.session(center, session_id).position
    if position is None:
        raise CenterError(409, "the session does not wait in the queue any more")
    return launch.move(center, session_id, MoveRequest(position=max(1, position + by))).id


def _delete(center: Center, session_id: str) -> str:
    launch.delete(center, session_id)
    return ""


_ACTIONS: Mapping[str, Callable[[Center, str], str]] = {
    "cancel": lambda center, session_id: launch.cancel(center, session_id).id,
    "resume": lambda center, session_id: launch.resume(center, session_id).id,
    "delete": _delete,
    "up": lambda center, session_id: _move(center, session_id, -1),
    "down": lambda center, session_id: _move(center, session_id, 1),
}
"""What the buttons of a session do: each returns the id of the session to show next, empty if it is gone."""


@router.post("/center/sessions/{session_id}/{action}")
def act(center: The, request: Request, session_id: str, action: str, form: Form) -> Response:
    """Cancel, resume, remove or move a session."""
    if action not in _ACTIONS:
        raise CenterError(404, f"a session has no action {action[:50]!r}")
    shown, problem, status = session_id, None, 200
    try:
        shown = _ACTIONS[action](center, session_id)
    except CenterError as error:
        problem, status = error.detail, error.status
    if is_htmx(request):
        return html(Reading(center, problem=problem).part("queue"), headers={"HX-Trigger": "acted"})
    on_its_page = form.get("page") == "session"
    if problem is None:
        there = f"/center/sessions/{shown}" if on_its_page else f"/center#session-{shown}"
        return RedirectResponse(there if shown else "/center#queue-section", 303)
    if on_its_page:
        return _session_page(center, session_id, problem, status)
    return page(Reading(center, problem=problem), status)


@router.get("/center/sessions/{session_id}")
def session_page(center: The, session_id: str) -> Response:
    """Return the page of a session."""
    return _session_page(center, session_id)


def _session_page(center: Center, session_id: str, problem: str | None = None, status: int = 200) -> HTMLResponse:
    found = sessions.session(center, session_id)
    title = page_title([found], label(found))
    content = render("session", title=title, view=SessionView(Reading(center), found), problem=problem, fragment=False)
    return html(content, status)


@router.get("/center/sessions/{session_id}/{name}")
def session_part(center: The, session_id: str, name: str) -> Response:
    """Return one part of the page of a session as it is now."""
    if name not in ("head", "gates", "opinions"):
        raise CenterError(404, f"a session has no page {name[:50]!r}")
    found = sessions.session(center, session_id)
    title = page_title([found], label(found))
    return html(render(f"parts/{name}", title=title, view=SessionView(Reading(center), found), fragment=True))


@router.get("/center/compare")
def compare_page(center: The, ids: Annotated[list[str] | None, Query()] = None) -> Response:
    """Return two to four sessions beside each other: `?ids=a,b`, or as the form sends them, `?ids=a&ids=b`."""
    chosen = list(dict.fromkeys(one for group in ids or () for one in group.split(",") if one))
    if not MIN_COMPARED <= len(chosen) <= MAX_COMPARED:
        raise CenterError(422, f"{len(chosen)} sessions are chosen: tick {MIN_COMPARED} to {MAX_COMPARED}")
    rows = history.rows(center, [sessions.session(center, one) for one in chosen])
    return html(render("compare", title=f"Comparison – {NAME}", found=history.compare(center, rows)))


@router.post("/center/checkpoints/{training_id}/test")
def test_checkpoint(center: The, request: Request, training_id: str, form: Form) -> Response:
    """Answer a text with a checkpoint."""
    said = Said(text=form.get("text", ""), to=form.get("to", ""))
    try:
        given = {name: form[name] for name in ("text", "to") if form.get(name)}
        answer = checkpoints.test(center, training_id, checked(TestRequest, given))
        said, status = replace(said, answer=answer), 200
    except CenterError as error:
        said, status = replace(said, problem=error.detail), error.status
    return _checkpoint(center, request, training_id, said, status)


@router.post("/center/checkpoints/{training_id}/export")
def export_checkpoint(center: The, request: Request, training_id: str, form: Form) -> Response:
    """Export a checkpoint into the home."""
    said = Said(exporting=True)
    try:
        asked = checked(ExportRequest, {"format": form["format"]} if form.get("format") else {})
        said, status = replace(said, exported=checkpoints.export(center, training_id, asked)), 200
    except CenterError as error:
        said, status = replace(said, problem=error.detail), error.status
    return _checkpoint(center, request, training_id, said, status)


def _checkpoint(center: Center, request: Request, training_id: str, said: Said, status: int) -> HTMLResponse:
    reading = Reading(center)
    reading.said[training_id] = said
    if not is_htmx(request):
        return page(reading, status)
    try:
        row = checkpoints.find(center, training_id)
    except CenterError as error:
        raise CenterError(404, said.problem or error.detail) from None
    return html(render("parts/checkpoint", row=row, answers=reading.said))


@router.get("/center/checkpoints/{training_id}/report")
def report(center: The, training_id: str) -> Response:
    """Return the page of a report, in a sandbox."""
    page = checkpoints.report_page(center, training_id)
    return html(page, headers={"Content-Security-Policy": REPORT_POLICY, "X-Content-Type-Options": "nosniff"})


@router.get("/center/checkpoints/{training_id}/card")
def card(center: The, training_id: str) -> Response:
    """Return a model card as text."""
    return PlainTextResponse(checkpoints.card(center, training_id), headers=_TEXT)


@router.get("/center/checkpoints/{training_id}/lineage")
def lineage(center: The, training_id: str) -> Response:
    """Return what a checkpoint was made from, as text."""
    return PlainTextResponse(checkpoints.lineage(center, training_id), headers=_TEXT)
