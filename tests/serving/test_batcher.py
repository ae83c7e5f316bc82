"""Texts of many requests in one batch: none changes another, and no error or end of one stops the others."""

import asyncio
import gc
import json
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random
from typing import Any

import pytest
import torch
from starlette.testclient import TestClient

from hlx_model.model.generation import Batch, GenerationRequest, generate
from hlx_model.model.sizes import SIZES
from hlx_model.model.tokenizer import EOS, decode, encode
from hlx_model.model.transformer import Transformer
from hlx_model.serving.app import create_app
from hlx_model.serving.batcher import Batcher, Closed, Overloaded
from hlx_model.serving.service import Limits, Service
from tests.serving.conftest import Pair
from tests.support.live_serve import SORT
from tests.support.waiting import wait_for

PROMPTS = ["", "Count", "[HLXL] Search for documents → ", "[English] {C:1000,0=1,1=@users} → ", "a" * 300]
LIMITS = [1, 7, 40]


@pytest.fixture(scope="module")
def model() -> Transformer:
    """A model that ends some texts."""
    made = Transformer(SIZES["tiny"]).initialize(seed=0)
    with torch.no_grad():
        made.output_projection.bias[EOS] = 0.5
    return made.eval()


@pytest.fixture(scope="module")
def alone(model: Transformer) -> dict[tuple[str, int], str]:
    """What is written after each prompt, within each limit, if nothing else is written."""
    return {(p, n): generate(model, [p], max_new_tokens=n)[0] for p in PROMPTS for n in LIMITS}


@contextmanager
def batching(model: Transformer, **settings: Any) -> Iterator[Batcher]:
    batcher = Batcher(model, **{"slots": 4, "max_waiting": 1_000, **settings})
    try:
        yield batcher
    finally:
        batcher.end()


@pytest.mark.parametrize("seed", range(3))
def test_jobs_that_come_and_go_at_any_time_write_what_they_do_alone(
    model: Transformer, alone: dict[tuple[str, int], str], seed: int
) -> None:
    random = Random(seed)

    async def job(batcher: Batcher) -> int:
        await asyncio.sleep(random.random())
        keys = random.choices(list(alone), k=random.randint(1, 4))
        texts = [GenerationRequest(encode(prompt), limit) for prompt, limit in keys]
        found = batcher.submit(texts)
        if random.random() < 0.3:
            await asyncio.sleep(random.random() / 20)
            found.cancel()
        await found.ended()
        for text, key in zip(texts, keys, strict=True):
            written = decode(text.written)
            assert alone[key].startswith(written) if text.cancelled else written == alone[key]
        return sum(not text.cancelled for text in texts)

    async def all_jobs(batcher: Batcher) -> list[int]:
        async with asyncio.timeout(120):
            return await asyncio.gather(*(job(batcher) for _ in range(100)))

    with batching(model) as batcher:
        assert sum(asyncio.run(all_jobs(batcher))) > 50
        wait_for(lambda: batcher.open == batcher.waiting == 0)


def test_a_text_cancelled_between_two_steps_stops_nobody(model: Transformer, monkeypatch: pytest.MonkeyPatch) -> None:
    step = Batch.step

    def cancelling(batch: Batch, waiting: Any) -> list[GenerationRequest]:
        stepped = step(batch, waiting)
        for text in stepped:
            text.cancelled = text.max_new_tokens == 40  # a client is gone just now
        return stepped

    monkeypatch.setattr(Batch, "step", cancelling)

    async def both(batcher: Batcher) -> list[int]:
        async with asyncio.timeout(120):
            texts = [GenerationRequest(encode("Count"), limit) for limit in (40, 7)]
            for job in [batcher.submit([text]) for text in texts]:
                await job.ended()
            return [len(text.written) for text in texts]

    with batching(model) as batcher:
        assert asyncio.run(both(batcher)) == [1, 7]
        assert asyncio.run(both(batcher)) == [1, 7], "the thread continues"
        wait_for(lambda: batcher.open == 0)


def test_a_closed_batcher_writes_what_it_has_and_takes_no_more(model: Transformer) -> None:
    async def closed(batcher: Batcher) -> list[GenerationRequest]:
        texts = [GenerationRequest(encode("a"), 40) for _ in range(20)]
        job = batcher.submit(texts)
        batcher.close()
        with pytest.raises(Closed):
            batcher.submit([GenerationRequest([], 1)])
        async with asyncio.timeout(120):
            await job.ended()
        return texts

    with batching(model) as batcher:
        texts = asyncio.run(closed(batcher))
        assert all(text.ended and not text.cancelled for text in texts)
        wait_for(lambda: not batcher._thread.is_alive())


def test_more_than_may_wait_are_refused_with_a_time(model: Transformer) -> None:
    async def refused(batcher: Batcher) -> int:
        with pytest.raises(Overloaded, match="too many texts wait: try again in 1 s") as error:
            batcher.submit([GenerationRequest([], 1)] * 11)
        return error.value.seconds

    with batching(model, max_waiting=10) as batcher:
        assert asyncio.run(refused(batcher)) == 1 and batcher.open == 0


def test_an_error_in_a_step_is_500_and_the_server_goes_on(made_pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    step, broken = Batch.step, [True, False, True]

    def breaking(batch: Batch, waiting: Any) -> list[GenerationRequest]:
        if broken and broken.pop(0):
            raise RuntimeError("CUDA out of memory: /secret")
        return step(batch, waiting)

    monkeypatch.setattr(Batch, "step", breaking)
    service = Service(None, made_pair.training, limits=Limits())
    with TestClient(create_app(service), base_url="http://127.0.0.1") as client:
        for _ in range(2):  # before the first token, and after it
            answer = client.post("/translate", json=SORT)
            assert answer.status_code == 500
            assert answer.json() == {"detail": "the model could not write: RuntimeError"}
            assert client.get("/status").json()["open"] == 0
        assert client.post("/translate", json=[SORT] * 3).status_code == 200
        broken += [False, True]
        chat = {"model": "hlx-brain", "messages": [{"role": "user", "content": "Sort"}], "stream": True}
        events = client.post("/v1/chat/completions", json=chat).text
        assert '"error": {"message": "the model could not write: RuntimeError"' in events and "[DONE]" not in events
        assert client.post("/translate", json=SORT).status_code == 200


def test_a_model_that_was_replaced_is_freed(pair: Pair) -> None:
    service = Service(None, pair.training, limits=Limits())
    with TestClient(create_app(service), base_url="http://127.0.0.1") as client:
        assert client.post("/translate", json=SORT).json()["checkpoint"] == pair.name(pair.newer)
        before = weakref.ref(service.current.batcher._model)
        pair.judge(pair.newer, "fail")
        assert client.post("/reload").json()["checkpoint"] == pair.name(pair.older)
        assert client.post("/translate", json=SORT).json()["checkpoint"] == pair.name(pair.older)

        def freed() -> bool:
            gc.collect()
            return before() is None

        wait_for(freed)


def test_a_server_that_ends_refuses_what_comes_too_late(made_pair: Pair) -> None:
    service = Service(None, made_pair.training, limits=Limits())
    with TestClient(create_app(service), base_url="http://127.0.0.1") as client:
        service.current.batcher.close()
        answer = client.post("/translate", json=SORT)
        assert (answer.status_code, answer.json()["detail"]) == (503, "the server ends")


def test_texts_are_submitted_while_models_are_replaced(pair: Pair) -> None:
    service, ended = Service(None, pair.training, limits=Limits()), threading.Event()

    def swap() -> None:
        for outcome in ("fail", "pass") * 5:
            pair.judge(pair.newer, outcome)
            assert service.reload()
        ended.set()

    async def submit() -> int:
        thread, jobs = threading.Thread(target=swap), []
        thread.start()
        while thread.is_alive():
            jobs.append(service.submit([GenerationRequest(encode("Sort"), 2)])[1])
            await asyncio.sleep(0.001)
        async with asyncio.timeout(120):
            for job in jobs:
                await job.ended()
        assert all(len(text.written) == 2 for job in jobs for text in job.texts)
        return len(jobs)

    assert asyncio.run(submit()) > 10 and ended.is_set()
    service.current.batcher.end()


def test_a_client_that_does_not_read_keeps_its_places_no_longer(made_pair: Pair) -> None:
    service = Service(None, made_pair.training, limits=Limits(seconds=0.2))
    body = {"model": "hlx-brain", "prompt": ["Sort"] * 250, "max_tokens": 500, "stream": True}
    messages = [{"type": "http.request", "body": json.dumps(body).encode()}]

    async def receive() -> Any:
        return messages.pop() if messages else await asyncio.Event().wait()

    async def send(message: Any) -> None:
        if message["type"] == "http.response.body":
            await asyncio.Event().wait()

    async def unread() -> None:
        scope: dict[str, Any] = {
            "type": "http", "method": "POST", "path": "/v1/completions", "query_string": b"",
            "headers": [(b"content-type", b"application/json")],
        }  # fmt: skip
        async with asyncio.timeout(120):
            await create_app(service)(scope, receive, send)
            while service.current.batcher.open:
                await asyncio.sleep(0.01)

    gc.disable()  # which would find the texts at some time
    try:
        asyncio.run(unread())
    finally:
        gc.enable()
    line = next(line for line in exposed(service).splitlines() if line.startswith("hlx_tokens_written_total "))
    assert 0 < float(line.split()[1]) < 250 * 500
    service.current.batcher.end()


def exposed(service: Service) -> str:
    return service.metrics.exposition(open=0, waiting=0, checkpoint="", verdict="", size="").decode()
