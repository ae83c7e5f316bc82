"""The routes of `hlx serve` but for those of OpenAI's API: translations, the studio's client, health and metrics."""

import asyncio
from typing import Annotated, Any

import torch
from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict

from hlx_model.corpus.prompts import ENGLISH
from hlx_model.language import Format
from hlx_model.serving.answering import Answered, answers, require_few
from hlx_model.serving.errors import Refused
from hlx_model.serving.metrics import CONTENT_TYPE
from hlx_model.serving.requests import LANGUAGES, Items, TranslateRequest, TranslationTask, translation_task
from hlx_model.serving.service import Service
from hlx_model.shown import one_line

router = APIRouter()
_GIB = 1 << 30


class TranslateAnswer(BaseModel):
    """A translation."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    text: str
    to: str
    parses: bool
    """Whether the text is a line of its format; always true for English."""
    complete: bool
    """Whether the model ended the text itself, and no limit cut it."""
    checkpoint: str
    verdict: str
    """On the checkpoint: `pass`, `warn`, `fail`, or `none` if it has no valid one."""


class QueryRequest(BaseModel):
    """A text from the studio's client."""

    query: str


async def service_of(request: Request) -> Service:
    """Return the service of the application. A function that is not `async` would run in another thread."""
    service: Service = request.app.state.service
    return service


The = Annotated[Service, Depends(service_of)]


@router.post("/translate")
async def translate(
    service: The, request: Request, body: TranslateRequest | Items[TranslateRequest]
) -> TranslateAnswer | list[TranslateAnswer]:
    """Translate a text, or each text of a list, which all may go into any direction."""
    several = isinstance(body, list)
    asked = body if isinstance(body, list) else [body]
    if not asked:
        raise Refused(422, "the list is empty: give at least one text")
    require_few(service, len(asked))
    found = [
        _translation(one.text, one.to, one.source, f"{number}: " if several else "") for number, one in enumerate(asked)
    ]
    all_answered = [_answer(one) for one in await answers(service, request, found)]
    return all_answered if several else all_answered[0]


@router.post("/query")
async def query(service: The, request: Request, body: QueryRequest) -> dict[str, Any]:
    """Answer the studio's client: a sentence in HLXL, a line of HLX in English."""
    found = _translation(body.query, None, None, "")
    (one,) = await answers(service, request, [found])
    hints = [found.source] if found.source != ENGLISH else []
    return {
        "success": True, "response": one.text, "specialist": _specialist(found.target),
        "explanation": f"{found.source} to {found.target}", "format_hints": hints, **_answer(one).model_dump(),
    }  # fmt: skip


@router.post("/reload")
async def reload(service: The) -> dict[str, Any]:
    """Take up a newer checkpoint, without a lost request. The body is empty."""
    try:
        changed = await asyncio.to_thread(service.reload)
    except (ValueError, OSError, RuntimeError) as error:
        raise Refused(409, f"{service.current.name} stays: {one_line(error)}") from None
    now = service.current
    message = f"now serving {now.name}" if changed else f"still serving {now.name}: there is no newer one to serve"
    return {"success": True, "message": message, "checkpoint": now.name, "verdict": now.verdict}


@router.head("/health", include_in_schema=False)
@router.get("/health")
async def health(service: The) -> dict[str, Any]:
    """Say that the server answers, and with which model."""
    now = service.current
    if now.engines.problem:
        raise Refused(503, "the model's process cannot be started: see the log of this server")
    return {
        "status": "ready", "models": _models(service), "greeting": f"HLX Brain: {now.name}, verdict {now.verdict}",
        "checkpoint": now.name, "verdict": now.verdict,
    }  # fmt: skip


@router.get("/status")
async def status(service: The) -> dict[str, Any]:
    """Return the model, what it can do, what the server is doing, and its limits."""
    now, limits = service.current, service.limits
    models = _models(service)
    return {
        "ready": now.engines.problem is None, "models": models, "coordinator": now.name, "ascii_specialist": now.name,
        "runic_specialist": now.name, "gpu_available": torch.cuda.is_available(), "gpu_memory": _gpu_memory(service),
        "checkpoint": now.name, "verdict": now.verdict, "trust": now.trust, "size": now.model.manifest.size,
        "device": service.device, "languages": LANGUAGES, "open": now.engines.open, "waiting": now.engines.waiting,
        "limits": {
            "slots": limits.slots, "waiting": limits.waiting, "seconds": limits.seconds, "bytes": limits.body_bytes,
        },
    }  # fmt: skip


@router.get("/metrics")
async def metrics(service: The) -> Response:
    """Return the metrics for Prometheus."""
    now = service.current
    text = service.metrics.exposition(
        open=now.engines.open, waiting=now.engines.waiting, checkpoint=now.name, verdict=now.verdict,
        size=now.model.manifest.size,
    )  # fmt: skip
    return Response(text, media_type=CONTENT_TYPE)


def _translation(text: str, target: str | None, source: str | None, where: str) -> TranslationTask:
    try:
        return translation_task(text, target, source)
    except ValueError as error:
        raise Refused(422, f"{where}{error}") from None


def _answer(one: Answered) -> TranslateAnswer:
    return TranslateAnswer(
        text=one.text, to=one.asked.target, parses=one.asked.well_formed(one.text), complete=one.complete,
        checkpoint=one.serving.name, verdict=one.serving.verdict,
    )  # fmt: skip


def _models(service: Service) -> dict[str, str]:
    """Return what the studio's client shows: one model does the work of its three specialists."""
    return dict.fromkeys(("coordinator", "ascii", "runic"), service.current.name)


def _specialist(target: str) -> str:
    """Return which of the studio's specialists writes a language."""
    return {ENGLISH: "coordinator", str(Format.LC_R): "runic"}.get(target, "ascii")


def _gpu_memory(service: Service) -> dict[str, float] | None:
    """Return the memory of the GPU in GiB; None on a CPU, and before the first answer."""
    found = service.current.engines.gpu_memory
    return None if found is None else {f"{name}_gb": round(bytes / _GIB, 2) for name, bytes in found.items()}
