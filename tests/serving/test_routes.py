"""The routes of `hlx serve` on a small trained model: right answers, one line for what is wrong, and metrics."""

from collections.abc import Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient

from hlx_model.checkpoints.seal import verify_checkpoint
from hlx_model.checkpoints.weights import load_model
from hlx_model.corpus import parses
from hlx_model.language import Format
from hlx_model.model.generation import generate
from hlx_model.serving.app import create_app
from hlx_model.serving.service import Limits, Service
from tests.support.curriculum import Curriculum

SENTENCES = ("Sort all users", "Search for documents", "Count the items")


@pytest.fixture(scope="module")
def service(curriculum: Curriculum) -> Service:
    return Service(None, curriculum.root / "training", limits=Limits(body_bytes=20_000))


@pytest.fixture(scope="module")
def client(service: Service) -> Iterator[TestClient]:
    with TestClient(create_app(service)) as made:
        yield made


@pytest.fixture(scope="module")
def name(curriculum: Curriculum) -> str:
    trained = curriculum.phases[3]
    return f"{trained.plan.id}/{trained.checkpoint.name}"


def alone(curriculum: Curriculum, *prompts: str) -> list[str]:
    model = load_model(verify_checkpoint(curriculum.phases[3].checkpoint))
    return generate(model, prompts, max_new_tokens=200)


def test_a_text_is_translated_with_the_verdict_on_the_model(
    client: TestClient, curriculum: Curriculum, name: str
) -> None:
    (expected,) = alone(curriculum, "[LC-T] Sort all users → ")
    answer = client.post("/translate", json={"text": "Sort all users", "to": "LC-T"})
    assert answer.status_code == 200 and answer.headers["x-hlx-verdict"] == "warn"
    assert answer.json() == {
        "text": expected, "to": "LC-T", "parses": parses(expected, Format.LC_T), "complete": True, "checkpoint": name,
        "verdict": "warn",
    }  # fmt: skip


def test_a_list_is_answered_in_its_order_in_every_direction(client: TestClient, curriculum: Curriculum) -> None:
    line = alone(curriculum, "[LC-T] Sort all users → ")[0]
    asked = [{"text": text, "to": str(format)} for text in SENTENCES for format in Format]
    asked += [{"text": line, "to": "English"}, {"text": line, "to": "LC-R", "from": "LC-T"}]
    expected = alone(curriculum, *(f"[{one['to']}] {one['text']} → " for one in asked))
    answers = client.post("/translate", json=asked).json()
    assert [answer["text"] for answer in answers] == expected
    assert [answer["to"] for answer in answers] == [one["to"] for one in asked]


def test_the_studio_gets_the_fields_that_its_client_reads(
    client: TestClient, curriculum: Curriculum, name: str
) -> None:
    (expected,) = alone(curriculum, "[HLXL] Sort all users → ")
    found = client.post("/query", json={"query": "Sort all users"}).json()
    assert (found["success"], found["response"], found["specialist"]) == (True, expected, "ascii")
    assert client.post("/query", json={"query": expected}).json()["specialist"] == "coordinator"
    health, status = client.get("/health").json(), client.get("/status").json()
    assert health["status"] == "ready" and set(health["models"]) == {"coordinator", "ascii", "runic"}
    assert status["ready"] and status["models"] == health["models"] and status["gpu_available"] in (True, False)
    assert status["checkpoint"] == name and "verdict warn" in status["trust"][-1]
    refused = client.post("/query", json={"query": ""})
    assert refused.status_code == 422 and refused.json()["error"].startswith("text is empty")
    assert refused.json()["success"] is False


def test_a_reload_without_a_newer_model_says_so(client: TestClient, name: str) -> None:
    answer = client.post("/reload")
    assert answer.status_code == 200 and answer.json()["message"].startswith(f"still serving {name}: ")


@pytest.mark.parametrize(
    "path, body, status, said",
    [
        ("/translate", {"text": "Sort", "to": "French"}, 422, "to is 'French'"),
        ("/translate", [{"text": "Sort"}, {"text": "ü"}], 422, "1: text has characters"),
        ("/translate", {"text": "Sort", "too": "HLXL"}, 422, "too: extra inputs are not permitted"),
        ("/translate", {"text": 5}, 422, "text: input should be a valid string"),
        ("/translate", [5], 422, "an object is expected, or a list of objects"),
        ("/translate", [], 422, "the list is empty"),
        ("/translate", "Sort", 422, "the body: an object is expected, or a list of objects"),
        ("/translate", None, 422, "the body: "),
        ("/query", {"text": "Sort"}, 422, "query: field required"),
        ("/translate", {"text": "a" * 20_000}, 413, "the body is longer than 20,000 bytes"),
        ("/nothing", {}, 404, "there is nothing here: /translate, "),
        ("/health", {}, 405, "no such method here"),
    ],
)
def test_what_is_wrong_is_one_line(client: TestClient, path: str, body: Any, status: int, said: str) -> None:
    answer = client.post(path, json=body)
    assert answer.status_code == status and said in answer.json()["detail"], answer.text
    assert "\n" not in answer.json()["detail"]


def test_a_body_that_is_no_json_is_refused(client: TestClient) -> None:
    for body in (b"{", b"\xff", b'{"text": "Sort"} x', b"[" * 10_000):
        answer = client.post("/translate", content=body, headers={"content-type": "application/json"})
        assert answer.status_code in (400, 422) and answer.json()["detail"] == "the body is not JSON", answer.text


def test_metrics_count_requests_and_tokens_and_name_the_model(client: TestClient, name: str) -> None:
    client.post("/translate", json={"text": "Sort all users", "to": "LC-T"})
    text = client.get("/metrics").text
    assert 'hlx_requests_total{route="/translate",status="200"}' in text
    assert f'hlx_model_info{{checkpoint="{name}",size="tiny",verdict="warn"}} 1.0' in text
    (tokens,) = (line for line in text.splitlines() if line.startswith("hlx_tokens_written_total "))
    assert float(tokens.split()[1]) > 10
    assert "Sort all users" not in text and "nothing" not in text
