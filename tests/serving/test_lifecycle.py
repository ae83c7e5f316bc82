"""A server's life: signals, a newer model, clients that go away, and more work than it can do."""

import json
import signal
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from hlx_model.checkpoints.seal import verify_checkpoint
from hlx_model.checkpoints.weights import load_model
from hlx_model.model.generation import generate
from hlx_model.serving import service as services
from hlx_model.serving.app import create_app
from hlx_model.serving.service import Limits, Service
from tests.serving.conftest import Pair
from tests.support.live_serve import SORT, Answer, Served, hlx_serve, serve_within
from tests.support.waiting import wait_for

CLIENTS = 64
TOKENS = 300
LONG = {"model": "hlx-brain", "prompt": "Sort", "max_tokens": TOKENS}
PROMPTS = ("[HLXL] Sort all users → ", "[LC-R] Search for files → ", "Count the items")


def asked(server: Served) -> Answer | None:
    """The answer to a long request; None if its connection was refused, and nothing answered."""
    with suppress(ConnectionError):
        return server.ask("POST", "/v1/completions", LONG)
    return None


@pytest.mark.parametrize("signals", [[signal.SIGTERM], [signal.SIGTERM] * 2, [signal.SIGINT]])
def test_what_was_asked_before_a_signal_is_answered(made_pair: Pair, tmp_path: Path, signals: list[int]) -> None:
    with (
        hlx_serve(tmp_path, "--checkpoint-dir", made_pair.training) as server,
        ThreadPoolExecutor(2 * CLIENTS) as pool,
    ):
        before = [pool.submit(asked, server) for _ in range(CLIENTS)]
        wait_for(lambda: server.get("/status")["open"] + sum(one.done() for one in before) >= CLIENTS)
        for sent in signals:
            server.process.send_signal(sent)
        after = [pool.submit(asked, server) for _ in range(CLIENTS // 4)]
        assert server.process.wait(120) == 0, server.log
        assert {answer.status if answer else None for answer in map(Future.result, before)} == {200}
        assert {answer.status if answer else None for answer in map(Future.result, after)} <= {200, 503, None}
        assert "Traceback" not in server.log and "ERROR" not in server.log


def test_a_reload_under_load_loses_no_request(pair: Pair, tmp_path: Path) -> None:
    expected = {
        pair.name(path): generate(load_model(verify_checkpoint(path)), PROMPTS, max_new_tokens=40)
        for path in (pair.older, pair.newer)
    }
    assert expected[pair.name(pair.older)] != expected[pair.name(pair.newer)]
    seen: Counter[str] = Counter()
    ended = False

    def client(number: int) -> None:
        which = number % len(PROMPTS)
        while not ended:
            answer = server.ask("POST", "/v1/completions", {**LONG, "prompt": PROMPTS[which], "max_tokens": 40})
            assert answer.status == 200, answer
            assert answer.json["choices"][0]["text"] == expected[answer.json["model"]][which]
            seen[answer.json["model"]] += 1

    with hlx_serve(tmp_path, "--checkpoint-dir", pair.training) as server, ThreadPoolExecutor(CLIENTS) as pool:
        clients = [pool.submit(client, number) for number in range(CLIENTS)]
        try:
            for swap in range(4):
                now = (pair.older, pair.newer)[swap % 2]
                pair.judge(pair.newer, "fail" if now is pair.older else "pass")
                answer = server.ask("POST", "/reload")
                assert answer.status == 200 and answer.json["checkpoint"] == pair.name(now), answer
                count = seen[pair.name(now)]
                wait_for(lambda: seen[pair.name(now)] > count or any(one.done() for one in clients))  # noqa: B023
        finally:
            ended = True
        for one in clients:
            one.result()
        wait_for(lambda: server.get("/status")["open"] == 0)


def served(pair: Pair, named: str | None = None, **limits: Any) -> Service:
    return Service(named, pair.training, limits=Limits(**limits))


def test_watching_takes_up_a_newer_model_by_itself(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services, "WATCH_SECONDS", 0.05)
    pair.judge(pair.newer, "fail")
    with TestClient(create_app(served(pair), watch=True), base_url="http://127.0.0.1") as client:
        assert client.get("/health").json()["checkpoint"] == pair.name(pair.older)
        pair.judge(pair.newer, "pass")
        wait_for(lambda: client.get("/health").json()["checkpoint"] == pair.name(pair.newer))
        pair.judge(pair.newer, "fail")
        wait_for(lambda: client.get("/health").json()["checkpoint"] == pair.name(pair.older))
        pair.judge(pair.older, "fail")
        wait_for(lambda: client.get("/health").json()["verdict"] == "fail")
        assert client.post("/translate", json=SORT).status_code == 200


def test_a_newer_model_that_failed_is_not_taken_up(pair: Pair) -> None:
    pair.judge(pair.newer, "fail")
    with TestClient(create_app(served(pair)), base_url="http://127.0.0.1") as client:
        answer = client.post("/reload")
        assert answer.status_code == 200 and answer.json()["checkpoint"] == pair.name(pair.older)
        pair.judge(pair.older, "fail")
        answer = client.post("/reload")
        assert answer.status_code == 409 and answer.json()["success"] is False
        assert f"{pair.name(pair.older)} stays: no finished phase 3" in answer.json()["detail"]
        answered = client.post("/translate", json=SORT)
        assert answered.json()["verdict"] == answered.headers["x-hlx-verdict"] == "fail"
        assert client.get("/status").json()["trust"][-1].startswith("warning: ")


def test_a_verdict_that_becomes_fail_shows_in_later_answers(pair: Pair) -> None:
    with TestClient(create_app(served(pair, str(pair.newer))), base_url="http://127.0.0.1") as client:
        assert client.post("/translate", json=SORT).json()["verdict"] != "fail"
        pair.judge(pair.newer, "fail")
        answer = client.post("/reload")
        assert answer.status_code == 409 and "did not pass its gates" in answer.json()["detail"]
        assert client.post("/translate", json=SORT).json()["verdict"] == "fail"


@pytest.fixture(scope="module")
def narrow(made_pair: Pair, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server that writes one text at once, and lets eight wait."""
    with serve_within(tmp_path_factory.mktemp("narrow"), made_pair.training, slots=1, waiting=8) as server:
        yield server


def tokens_written(server: Served) -> float:
    lines = server.ask("GET", "/metrics").body.decode().splitlines()
    (line,) = [line for line in lines if line.startswith("hlx_tokens_written_total ")]
    return float(line.split()[1])


def test_more_than_may_wait_is_refused_and_the_others_answered(narrow: Served) -> None:
    with ThreadPoolExecutor(CLIENTS) as pool:
        answers = list(pool.map(lambda _: narrow.ask("POST", "/v1/completions", LONG), range(CLIENTS)))
    found = Counter(answer.status for answer in answers)
    assert set(found) == {200, 503} and found[200] >= 8, found
    for answer in answers:
        if answer.status == 503:
            assert 1 <= int(answer.headers["retry-after"]) <= 60 and "try again" in answer.json["error"]["message"]
        else:
            assert answer.json["usage"]["completion_tokens"] == TOKENS
    assert narrow.translate().status == 200


def test_a_list_longer_than_may_wait_is_refused_for_good(narrow: Served) -> None:
    answer = narrow.translate([SORT] * 9)
    assert answer.status == 422 and "retry-after" not in answer.headers
    assert answer.json == {"detail": "the request has 9 texts: send at most 8 at once"}
    answer = narrow.ask("POST", "/v1/completions", {**LONG, "prompt": ["Sort"] * 9})
    assert answer.status == 400 and "send at most 8 at once" in answer.json["error"]["message"]
    assert narrow.translate([SORT] * 8).status == 200


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_goes_away_gives_its_places_back(narrow: Served, stream: bool) -> None:
    before = tokens_written(narrow)
    body = json.dumps({**LONG, "prompt": ["Sort"] * 8, "max_tokens": 500, "stream": stream}).encode()
    with narrow.connect() as connection:
        connection.sendall(
            b"POST /v1/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
        )
        assert any(tokens_written(narrow) > before for _ in range(10_000))
    wait_for(lambda: narrow.get("/status")["open"] == 0)
    assert tokens_written(narrow) - before < 8 * 500


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_that_takes_too_long_is_refused(made_pair: Pair, stream: bool) -> None:
    with TestClient(create_app(served(made_pair, seconds=0.02)), base_url="http://127.0.0.1") as client:
        answer = client.post("/v1/completions", json={**LONG, "prompt": ["Sort"] * 64, "stream": stream})
        assert "no answer within 0.02 seconds" in answer.text
        assert stream or (answer.status_code == 503 and answer.headers["retry-after"] == "1")
        assert answer.headers["x-hlx-verdict"] == "warn"
        wait_for(lambda: client.get("/status").json()["open"] == 0)
