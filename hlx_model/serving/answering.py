"""From a request to its texts: submit them, wait for them, and give their slots back if nobody waits any more."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import NamedTuple

from fastapi import Request

from hlx_model.evaluation.translation import MAX_ANSWER
from hlx_model.serving.errors import Refused
from hlx_model.serving.jobs import Closed, Job, Overloaded, Text, Unavailable
from hlx_model.serving.requests import TranslationTask
from hlx_model.serving.service import Service, Serving

ANSWERED_BY = "hlx.verdict"
"""In the scope of a request: the verdict on the model that answers it."""


class Answered(NamedTuple):
    """A translation with its answer."""

    asked: TranslationTask
    text: str
    complete: bool
    serving: Serving


async def answers(service: Service, request: Request, asked: Sequence[TranslationTask]) -> list[Answered]:
    """Translate texts greedily, and return the answers in their order.

    Raises:
        Refused: 503: too many texts wait, or the answer takes too long.
    """
    texts = [Text(one.prompt, MAX_ANSWER) for one in asked]
    serving, job = submit(service, request, texts)
    async with waiting_for(service, request, job):
        await job.ended()
    return [Answered(one, text.written, text.end == "stop", serving) for one, text in zip(asked, texts, strict=True)]


def require_few(service: Service, texts: int) -> None:
    """Require that a request has no more texts than may wait: it would be refused however often it is sent."""
    if texts > (most := service.limits.waiting):
        raise Refused(422, f"the request has {texts:,} texts: send at most {most:,} at once")


def submit(
    service: Service, request: Request, texts: Sequence[Text], *, each_token: bool = False
) -> tuple[Serving, Job]:
    """Let texts be written, and return by which model; the answer's header gets the verdict on it.

    Raises:
        Refused: 503: too many wait, the model cannot write now, or the server ends.
    """
    try:
        serving, job = service.submit(texts, each_token=each_token)
    except (Overloaded, Unavailable) as error:
        raise Refused(503, str(error), retry_after=error.seconds) from None
    except Closed:
        raise Refused(503, "the server ends", retry_after=1) from None
    request.scope[ANSWERED_BY] = serving.verdict
    return serving, job


@asynccontextmanager
async def waiting_for(service: Service, request: Request, job: Job) -> AsyncIterator[None]:
    """Wait for a job in the block; when it is left, or the client is gone, nothing more of the job is written.

    Raises:
        Refused: 503: the block takes longer than the limit; 500: the model could not write.
    """
    watcher = asyncio.create_task(_cancel_when_gone(request.receive, job))
    try:
        async with asyncio.timeout(seconds := service.limits.seconds):
            yield
    except TimeoutError:
        detail = f"no answer within {seconds:g} seconds: too many texts are being written, or the model is not ready"
        raise Refused(503, detail, retry_after=max(1, int(seconds))) from None
    finally:
        job.cancel()
        watcher.cancel()
    if job.problem:
        raise Refused(500, job.problem)


async def _cancel_when_gone(receive: Callable[[], Awaitable[object]], job: Job) -> None:
    """Give the slots of a job to others if its client closes the connection."""
    message: object = None
    while not (isinstance(message, dict) and message["type"] == "http.disconnect"):
        message = await receive()
    job.cancel()
