"""Texts of many requests in one batch: none changes another, and no error, end or death stops the others."""

import asyncio
import gc
import json
import os
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

import pytest
import torch
from starlette.testclient import TestClient

from hlx_model.checkpoints.manifest import CheckpointError
from hlx_model.checkpoints.seal import VerifiedCheckpoint, verify_checkpoint
from hlx_model.checkpoints.weights import load_model
from hlx_model.model.generation import Batch, generate
from hlx_model.model.sizes import SIZES
from hlx_model.model.tokenizer import EOS
from hlx_model.model.transformer import Transformer
from hlx_model.serving import engine_client
from hlx_model.serving import engines as serving_engines
from hlx_model.serving.app import create_app
from hlx_model.serving.engine import Commands, Engine
from hlx_model.serving.engine_client import EngineClient
from hlx_model.serving.engines import Engines
from hlx_model.serving.jobs import Closed, Overloaded, Text
from hlx_model.serving.service import Limits, Service
from tests.serving.conftest import Pair
from tests.support.curriculum import Curriculum, copied
from tests.support.damage import rewrite_checkpoint
from tests.support.faulty_engine import DIE, RAISE, RAISE_LATER
from tests.support.live_serve import SORT
from tests.support.waiting import wait_for

PROMPTS = ["", "Count", "[HLXL] Search for documents → ", "[English] {C:1000,0=1,1=@users} → ", "a" * 300]
LIMITS = [1, 7, 40]


@pytest.fixture(scope="module")
def checkpoint(curriculum: Curriculum, tmp_path_factory: pytest.TempPathFactory) -> VerifiedCheckpoint:
    """A model that ends some texts."""
    path = copied(curriculum, tmp_path_factory.mktemp("ending") / "artifacts", 3)

    def change(model: Transformer) -> None:
        with torch.no_grad():
            model.initialize(seed=0).output_projection.bias[EOS] = 0.5

    rewrite_checkpoint(path, change)
    return verify_checkpoint(path)


@pytest.fixture(scope="module")
def alone(checkpoint: VerifiedCheckpoint) -> dict[tuple[str, int], str]:
    """What is written after each prompt, within each limit, if nothing else is written."""
    model = load_model(checkpoint)
    return {(p, n): generate(model, [p], max_new_tokens=n)[0] for p in PROMPTS for n in LIMITS}


@contextmanager
def engines_of(checkpoint: VerifiedCheckpoint, cores: int = 1) -> Iterator[Engines]:
    """Engines with four slots, as on a machine with that many cores."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "get_num_threads", lambda: cores)
        patch.setattr(serving_engines, "MIN_SLOTS", 2)
        engines = Engines(checkpoint, "cpu", slots=4, max_waiting=1_000)
    try:
        yield engines
    finally:
        engines.end()


@pytest.fixture(scope="module")
def engines(checkpoint: VerifiedCheckpoint) -> Iterator[Engines]:
    """Two engines with two slots each."""
    with engines_of(checkpoint, cores=2) as engines:
        yield engines


@pytest.mark.parametrize("seed", range(3))
def test_jobs_that_come_and_go_at_any_time_write_what_they_do_alone(
    engines: Engines, alone: dict[tuple[str, int], str], seed: int
) -> None:
    random = Random(seed)

    async def job() -> int:
        await asyncio.sleep(random.random())
        keys = random.choices(list(alone), k=random.randint(1, 4))
        texts = [Text(prompt, limit) for prompt, limit in keys]
        found = engines.submit(texts, each_token=random.random() < 0.5)
        if random.random() < 0.3:
            await asyncio.sleep(random.random() / 20)
            found.cancel(*texts[: random.randint(0, len(texts))])
        await found.ended()
        for text, key in zip(texts, keys, strict=True):
            assert alone[key].startswith(text.written) if text.end == "cancelled" else text.written == alone[key]
            assert text.end != "length" or len(text.written) == key[1]
        return sum(text.end != "cancelled" for text in texts)

    async def all_jobs() -> list[int]:
        async with asyncio.timeout(120):
            return await asyncio.gather(*(job() for _ in range(100)))

    assert sum(asyncio.run(all_jobs())) > 50
    assert engines.open == engines.waiting == 0 and len(engines._engines) == 2


def test_closed_engines_write_what_they_have_and_take_no_more(checkpoint: VerifiedCheckpoint) -> None:
    async def closed(engines: Engines) -> list[Text]:
        texts = [Text("a", 40) for _ in range(20)]
        job = engines.submit(texts)
        engines.close()
        with pytest.raises(Closed):
            engines.submit([Text("", 1)])
        job.cancel(texts[3])
        async with asyncio.timeout(120):
            await job.ended()
        return texts

    with engines_of(checkpoint) as engines:
        texts = asyncio.run(closed(engines))
        assert [number for number, text in enumerate(texts) if text.end == "cancelled"] == [3]
        wait_for(lambda: not engines._engines[0]._thread.is_alive())


def test_a_job_that_is_cancelled_ends_for_those_who_wait(engines: Engines) -> None:
    async def waited() -> None:
        job = engines.submit([Text("a" * 300, 200) for _ in range(8)])
        waiting = asyncio.create_task(job.ended())
        await asyncio.sleep(0.05)
        job.cancel()
        async with asyncio.timeout(1):
            await waiting

    asyncio.run(waited())


def test_an_engine_that_is_down_gets_no_texts(checkpoint: VerifiedCheckpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_client, "RESTART_SECONDS", 600.0)  # it stays down

    async def write(engines: Engines) -> str:
        job = engines.submit([Text("Count", 3)])
        async with asyncio.timeout(60):
            await job.ended()
        assert job.problem is None
        return job.texts[0].written

    with engines_of(checkpoint, cores=2) as engines:
        first = engines._engines[0]
        first._process.process.kill()
        wait_for(lambda: not first.up)
        assert len({asyncio.run(write(engines)) for _ in range(5)}) == 1 and first.open == 0


def test_if_one_engine_cannot_start_none_is_left(
    checkpoint: VerifiedCheckpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    started, number = list[EngineClient](), iter(range(2))
    start = EngineClient._start

    def failing(self: EngineClient) -> Any:
        if next(number):
            raise CheckpointError("no memory")
        started.append(self)
        return start(self)

    monkeypatch.setattr(EngineClient, "_start", failing)
    with pytest.raises(CheckpointError, match="no memory"), engines_of(checkpoint, cores=2):
        pass
    assert started[0]._process.process.returncode is not None and not started[0]._thread.is_alive()


def test_files_of_the_working_directory_are_not_imported(
    checkpoint: VerifiedCheckpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("json", "torch", "select"):
        (tmp_path / f"{name}.py").write_text("print('imported')\nraise SystemExit(3)\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path not in ("", str(tmp_path))])
    with engines_of(checkpoint) as engines:
        assert engines.problem is None


def test_more_than_may_wait_are_refused_with_a_time(engines: Engines, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "_most", 14)

    async def refused() -> int:
        engines.submit([Text("a", 500) for _ in range(14)]).cancel()
        job = engines.submit([Text("a", 500) for _ in range(14)])
        assert (engines.open, engines.waiting) == (14, 10)
        with pytest.raises(Overloaded, match=r"too many texts wait: try again in \d+ s") as error:
            engines.submit([Text("", 1)])
        job.cancel()
        return error.value.seconds

    assert 1 <= asyncio.run(refused()) <= 60 and engines.open == 0


@contextmanager
def commanded(*commands: Mapping[str, Any]) -> Iterator[tuple[Commands, Any]]:
    """The commands of an engine in this process, and what sends more of them; None ends them."""
    reader, writer = os.pipe()

    def send(command: Mapping[str, Any] | None) -> None:
        os.close(writer) if command is None else os.write(writer, json.dumps(command).encode() + b"\n")

    for command in commands:
        send(command)
    yield Commands(reader), send
    os.close(reader)


def text(id: int, prompt: str = "Count", *, limit: int = 40, each_token: bool = False) -> dict[str, Any]:
    return {
        "id": id, "prompt": prompt, "max_new_tokens": limit, "temperature": 0.0, "seed": 0, "each_token": each_token,
    }  # fmt: skip


def test_a_text_cancelled_between_two_steps_stops_nobody() -> None:
    model, found = Transformer(SIZES["tiny"]).initialize(seed=0).eval(), Counter[int]()
    texts = [text(number, limit=12, each_token=True) for number in range(6)]
    with commanded(*texts, {"cancel": [5, 77]}) as (commands, send):

        def report(line: Mapping[str, Any]) -> None:
            found.update(id for id, _, _ in line["texts"])
            if found.total() == 4:
                send({"cancel": [0, 77]})
                send(text(8, limit=2, each_token=True))
            if [8, "length"] in [[id, end] for id, _, end in line["texts"]]:
                send(None)

        Engine(model, 4, commands, report).run()
    assert found == {0: 1, 1: 12, 2: 12, 3: 12, 4: 12, 8: 2}


def test_a_step_that_fails_ends_its_texts_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    step, faults, found = Batch.step, [False, True], list[Any]()

    def failing(batch: Batch[Any], waiting: Any) -> Any:
        if faults and faults.pop(0):
            raise RuntimeError("CUDA out of memory: /secret")
        return step(batch, waiting)

    monkeypatch.setattr(Batch, "step", failing)
    with commanded(text(0), text(1), text(2, limit=1)) as (commands, send):

        def report(line: Mapping[str, Any]) -> None:
            found.append(line)
            if "failed" in line:
                send(text(3, limit=2))
            elif line["texts"][0][0] == 3:
                send(None)

        Engine(Transformer(SIZES["tiny"]).initialize(seed=0).eval(), 4, commands, report).run()
    assert [line.get("failed") for line in found] == [None, [0, 1], None]
    assert found[0]["texts"][0][::2] == (2, "length") and found[2]["texts"][0][::2] == (3, "length")


def test_an_error_in_a_step_is_500_and_the_next_request_is_answered(
    made_pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_client, "MODULE", "tests.support.faulty_engine")
    service = Service(None, made_pair.training, limits=Limits())
    with TestClient(create_app(service), base_url="http://127.0.0.1") as client:
        for prompt in (RAISE, RAISE_LATER):
            body = {"model": "hlx-brain", "prompt": [prompt, "Count"]}
            answer = client.post("/v1/completions", json=body)
            assert answer.status_code == 500
            assert answer.json()["error"]["message"] == "the model could not write: RuntimeError"
            assert client.get("/status").json()["open"] == 0
            assert client.post("/translate", json=[SORT] * 3).status_code == 200
        events = client.post("/v1/completions", json={**body, "stream": True}).text
        assert '"error": {"message": "the model could not write: RuntimeError"' in events and "[DONE]" not in events
        assert client.post("/translate", json=SORT).status_code == 200


def test_a_process_that_dies_is_replaced(
    pair: Pair, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(engine_client, "MODULE", "tests.support.faulty_engine")
    monkeypatch.setattr(engine_client, "RESTART_SECONDS", 0.2)
    service = Service(None, pair.training, limits=Limits())
    deadly = {"model": "hlx-brain", "prompt": DIE}
    with TestClient(create_app(service), base_url="http://127.0.0.1") as client:
        answer = client.post("/v1/completions", json=deadly)
        assert answer.status_code == 500
        assert answer.json()["error"]["message"] == "the model's process ended with -9"
        assert client.post("/translate", json=SORT).status_code == 200, "it waits for the next process"
        weights = pair.newer / "model.safetensors"
        moved = weights.rename(weights.with_suffix(".moved"))
        assert client.post("/v1/completions", json=deadly).status_code == 500
        wait_for(lambda: client.get("/health").status_code == 503)
        wait_for(lambda: client.post("/translate", json=SORT).status_code == 503)
        answer = client.post("/translate", json=SORT)
        assert answer.json()["detail"] == "the model's process cannot be started: see the log of this server"
        assert not client.get("/status").json()["ready"] and "Retry-After" in answer.headers
        moved.rename(weights)
        wait_for(lambda: client.get("/health").status_code == 200)
        assert client.post("/translate", json=SORT).status_code == 200
    assert caplog.text.count("the model's process cannot be started") == 1


def test_what_keeps_a_process_from_its_start_is_one_line(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    (pair.newer / "model.safetensors").write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"model\.safetensors"):
        EngineClient(verify_checkpoint(pair.newer, only=()), "cpu", 4, lambda tokens, ended: None)
    found = verify_checkpoint(pair.older)
    monkeypatch.setattr(engine_client, "MODULE", "tests.support.no_such_module")
    with pytest.raises(CheckpointError, match="the process that loads it ended with 1"):
        EngineClient(found, "cpu", 4, lambda tokens, ended: None)


def test_a_model_that_was_replaced_is_freed(pair: Pair) -> None:
    service = Service(None, pair.training, limits=Limits())
    with TestClient(create_app(service), base_url="http://127.0.0.1") as client:
        assert client.post("/translate", json=SORT).json()["checkpoint"] == pair.name(pair.newer)
        before = service.current.engines._engines
        pair.judge(pair.newer, "fail")
        assert client.post("/reload").json()["checkpoint"] == pair.name(pair.older)
        assert client.post("/translate", json=SORT).json()["checkpoint"] == pair.name(pair.older)
        wait_for(lambda: not any(engine._thread.is_alive() for engine in before))
        assert [engine._process.process.returncode for engine in before] == [0]


def test_a_server_that_ends_refuses_what_comes_too_late(made_pair: Pair) -> None:
    service = Service(None, made_pair.training, limits=Limits())
    with TestClient(create_app(service), base_url="http://127.0.0.1") as client:
        service.current.engines.close()
        answer = client.post("/translate", json=SORT)
        assert (answer.status_code, answer.json()["detail"]) == (503, "the server ends")


def test_texts_are_submitted_while_models_are_replaced(pair: Pair) -> None:
    service, ended = Service(None, pair.training, limits=Limits()), threading.Event()

    def swap() -> None:
        for outcome in ("fail", "pass", "fail"):
            pair.judge(pair.newer, outcome)
            assert service.reload()
        ended.set()

    async def submit() -> int:
        thread, jobs = threading.Thread(target=swap), []
        thread.start()
        while thread.is_alive():
            jobs.append(service.submit([Text("Sort", 2)])[1])
            await asyncio.sleep(0.02)
        async with asyncio.timeout(120):
            for job in jobs:
                await job.ended()
        assert all(len(text.written) == 2 for job in jobs for text in job.texts)
        return len(jobs)

    assert asyncio.run(submit()) > 10 and ended.is_set()
    service.current.engines.end()


def test_a_client_that_does_not_read_keeps_its_places_no_longer(made_pair: Pair) -> None:
    service = Service(None, made_pair.training, limits=Limits(seconds=2.0))
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
            while service.current.engines.open:
                await asyncio.sleep(0.01)

    gc.disable()  # which would find the texts at some time
    try:
        asyncio.run(unread())
    finally:
        gc.enable()
    line = next(line for line in exposed(service).splitlines() if line.startswith("hlx_tokens_written_total "))
    assert 0 < float(line.split()[1]) < 250 * 500
    service.current.engines.end()


def exposed(service: Service) -> str:
    return service.metrics.exposition(open=0, waiting=0, checkpoint="", verdict="", size="").decode()
