"""The routes of the Training Center for programs: JSON, and one WebSocket. A browser is sent to the page."""

import asyncio
from contextlib import suppress
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Query, Request, Response, WebSocket, WebSocketDisconnect
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import RedirectResponse, StreamingResponse

from hlx_assets.center import checkpoints, curves, estimate, health, history, launch, log, sessions
from hlx_assets.center.context import Center, CenterError
from hlx_assets.center.models import (
    CheckpointRow,
    Comparison,
    Estimate,
    ExportAnswer,
    Health,
    HistoryRow,
    Problem,
    SessionGates,
    SessionLog,
    StartAnswer,
    TestAnswer,
    TrainingCurve,
    TrainingSession,
)
from hlx_assets.center.requests import CloneRequest, ExportRequest, MoveRequest, StartRequest, TestRequest
from hlx_model.serving.guard import UNTRUSTED

NO_SESSION = 4404
"""The code with which the WebSocket is closed if there is no session of that id."""
MOST = 500
"""Sessions, or checkpoints, that one answer lists at most."""
ERRORS: dict[int | str, dict[str, Any]] = {
    code: {"model": Problem} for code in (400, 403, 404, 405, 409, 413, 422, 500, 503)
}
Limit = Annotated[int, Query(ge=0, le=MOST)]

router = APIRouter(responses=ERRORS)
live = APIRouter()


def center_of(request: Request) -> Center:
    """Return the Center that a request is for."""
    center: Center = request.app.state.center
    return center


TheCenter = Annotated[Center, Depends(center_of)]


class SeeOther(Exception):
    """The browser gets the page at this address."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.path = path


def wants_html(request: Request) -> bool:
    """Return whether a request is one of a browser that shows a page."""
    accepted = [part.partition(";")[0].strip() for part in request.headers.get("accept", "").split(",")]
    return "text/html" in accepted and "application/json" not in accepted


def page_at(path: str) -> Any:
    """Return a dependency that sends a browser to the page at `path`, with the parameters of the request's path."""

    def redirect(request: Request) -> None:
        if wants_html(request):
            raise SeeOther(path.format(**request.path_params))

    return Depends(redirect)


@router.post("/api/training/start", status_code=201, tags=["sessions"])
def start(
    center: TheCenter,
    request: StartRequest,
    idempotency_key: Annotated[str | None, Header(max_length=200, pattern=r"^[\x21-\x7e]+$")] = None,
) -> StartAnswer:
    """Queue a session."""
    return launch.start(center, request, idempotency_key)


@router.post("/api/training/estimate", tags=["sessions"])
def estimate_session(center: TheCenter, request: StartRequest) -> Estimate:
    """Return what a session would take, and why it would be refused; nothing is started."""
    return estimate.estimate(center, request)


@router.get("/api/training/queue", tags=["sessions"], dependencies=[page_at("/center#queue-section")])
def queue(center: TheCenter, ended: Limit = 10) -> list[TrainingSession]:
    """Return the running sessions, the queued ones in their order, and those that ended last."""
    return sessions.queue(center, ended)


@router.get("/api/training/history", tags=["sessions"], dependencies=[page_at("/center#history-section")])
def session_history(center: TheCenter, limit: Limit = 50) -> list[HistoryRow]:
    """Return the sessions that have ended, the newest first, with their figures."""
    return history.rows(center, sessions.history(center, limit))


@router.get("/api/training/compare", tags=["sessions"], dependencies=[page_at("/center#history-section")])
def compare(center: TheCenter, ids: Annotated[str, Query(min_length=1, max_length=500)]) -> Comparison:
    """Return two to eight sessions beside each other; their ids with commas between them."""
    wanted = list(dict.fromkeys(one.strip() for one in ids.split(",") if one.strip()))
    if not 2 <= len(wanted) <= 8:
        raise CenterError(422, "ids: give two to eight ids of sessions, with commas between them")
    return history.compare(center, history.rows(center, [sessions.session(center, one) for one in wanted]))


@router.get(
    "/api/training/status/{session_id}", tags=["sessions"], dependencies=[page_at("/center/sessions/{session_id}")]
)
def status(center: TheCenter, session_id: str) -> TrainingSession:
    """Return one session."""
    return sessions.session(center, session_id)


@router.post("/api/training/cancel/{session_id}", tags=["sessions"])
def cancel(center: TheCenter, session_id: str) -> TrainingSession:
    """End a session; its trainer writes a checkpoint first, so that it can be resumed."""
    return launch.cancel(center, session_id)


@router.patch("/api/training/{session_id}", tags=["sessions"])
def move(center: TheCenter, session_id: str, request: MoveRequest) -> TrainingSession:
    """Give a queued session another place; its chain moves with it."""
    return launch.move(center, session_id, request)


@router.delete("/api/training/{session_id}", status_code=204, tags=["sessions"])
def delete(center: TheCenter, session_id: str) -> Response:
    """Remove a queued session."""
    launch.delete(center, session_id)
    return Response(status_code=204)


@router.post("/api/training/{session_id}/resume", status_code=201, tags=["sessions"])
def resume(center: TheCenter, session_id: str) -> StartAnswer:
    """Queue what was cut of a session, from its last checkpoint."""
    return launch.resume(center, session_id)


@router.post("/api/training/{session_id}/clone", status_code=201, tags=["sessions"])
def clone(center: TheCenter, session_id: str, request: CloneRequest | None = None) -> StartAnswer:
    """Queue a copy of a session, with the changes that the request names."""
    return launch.clone(center, session_id, request or CloneRequest())


@router.get("/api/training/{session_id}/metrics", tags=["sessions"])
def metrics(center: TheCenter, session_id: str) -> list[TrainingCurve]:
    """Return the curves of a session's trainings, with the gates on them."""
    return curves.curves(center, sessions.session(center, session_id))


@router.get("/api/training/{session_id}/gates", tags=["sessions"])
def gates(center: TheCenter, session_id: str) -> list[SessionGates]:
    """Return the gates of a session's trainings, during them and of their reports."""
    return curves.gates(center, sessions.session(center, session_id))


@router.get("/api/training/{session_id}/log", tags=["sessions"])
def session_log(
    center: TheCenter,
    session_id: str,
    cursor: Annotated[str | None, Query(max_length=200)] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 200,
) -> SessionLog:
    """Return lines of a session's log; with `cursor` those after the ones before."""
    sessions.record(center, session_id)
    return log.session_log(center, session_id, cursor, limit)


@router.get("/api/checkpoints", tags=["checkpoints"], dependencies=[page_at("/center#checkpoints-section")])
def list_checkpoints(center: TheCenter, limit: Limit = MOST) -> list[CheckpointRow]:
    """Return what the trainings that ended last pass on, the newest first."""
    return checkpoints.checkpoints(center, limit)


@router.post("/api/checkpoints/{training_id}/test", tags=["checkpoints"])
def test_checkpoint(center: TheCenter, training_id: str, request: TestRequest) -> TestAnswer:
    """Translate a text with a checkpoint."""
    return checkpoints.test(center, training_id, request)


@router.post("/api/checkpoints/{training_id}/export", tags=["checkpoints"], response_model=ExportAnswer)
def export_checkpoint(center: TheCenter, training_id: str, request: ExportRequest | None = None) -> Any:
    """Export a checkpoint into the home's `exports/`, or as a zip file."""
    wanted = request or ExportRequest()
    if wanted.download:
        name, pieces = checkpoints.export_zip(center, training_id, wanted)
        return StreamingResponse(
            pieces, media_type="application/zip", headers={"content-disposition": f'attachment; filename="{name}"'}
        )
    return checkpoints.export(center, training_id, wanted)


@router.get("/api/health", tags=["health"])
def center_health(center: TheCenter, request: Request) -> Health:
    """Return whether daemon, watchdog and disk are well, and the last alerts; without the token only whether."""
    found = health.health(center)
    return found.model_copy(update={"problems": [], "alerts": []}) if request.scope.get(UNTRUSTED) else found


@router.get("/training/status", include_in_schema=False)
def status_page(request: Request) -> RedirectResponse:
    """Send a browser to the page: the address is that of the WebSocket."""
    return RedirectResponse("/center", 303)


@live.websocket("/training/status")
async def status_feed(websocket: WebSocket, session_id: str | None = None) -> None:
    """Send the state of each live session, and then what changes; with `session_id` of that one alone."""
    await websocket.accept()
    if session_id is not None:
        try:
            await run_in_threadpool(sessions.record, websocket.app.state.center, session_id)
        except CenterError as error:
            return await websocket.close(NO_SESSION, error.detail[:100])
    with websocket.app.state.feed.listen(session_id) as listener:
        sender = asyncio.create_task(_send(websocket, listener))
        try:
            while True:
                await websocket.receive_text()  # what a client sends means nothing; its end does
        except (WebSocketDisconnect, RuntimeError, KeyError):
            pass
        finally:
            sender.cancel()
            with suppress(asyncio.CancelledError, WebSocketDisconnect, RuntimeError):
                await sender


async def _send(websocket: WebSocket, listener: Any) -> None:
    async for text in listener.messages():
        await websocket.send_text(text)
