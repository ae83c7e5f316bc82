"""`hlx serve`: which models are served, what their answers contain about them, and what is refused in one line."""

import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from hlx_model.cli import serve as command
from hlx_model.files import read_json
from hlx_model.layout import WEIGHTS, Artifacts
from hlx_model.release.export import export
from hlx_model.serving import server
from hlx_model.serving.app import create_app
from hlx_model.serving.service import Limits, Service
from tests.support.command import Hlx
from tests.support.curriculum import Curriculum, copied, stopped
from tests.support.damage import flip, reseal
from tests.support.live_serve import SORT


class Serving:
    """The command, up to the moment when it would listen."""

    def __init__(self, hlx: Hlx, monkeypatch: pytest.MonkeyPatch) -> None:
        self._hlx, self._services = hlx, list[Service]()

        def serve(load: Callable[[], Service], host: str, port: int, *, watch: bool) -> None:
            assert (host, port, watch) == ("127.0.0.1", 5001, False)
            self._services.append(load())

        monkeypatch.setattr(server, "serve", serve)

    def refused(self, *arguments: object) -> str:
        """The line with which a model is refused."""
        ran = self._hlx("serve", *arguments)
        assert ran.code == 1 and ran.out == "" and ran.err == f"{ran.error}\n" and not self._services
        return ran.error

    def served(self, *arguments: object) -> tuple[Any, str]:
        """The answer to a sentence, and what standard error reports about the model."""
        ran = self._hlx("serve", *arguments)
        assert ran.code == 0, ran.err
        with TestClient(create_app(self._services.pop()), base_url="http://127.0.0.1") as client:
            answer = client.post("/translate", json=SORT)
            assert answer.status_code == 200
            assert (
                answer.json()["verdict"] == answer.headers["x-hlx-verdict"] == client.get("/health").json()["verdict"]
            )
            chat = {"model": "hlx-brain", "messages": [{"role": "user", "content": SORT["text"]}]}
            assert client.post("/v1/chat/completions", json=chat).json()["verdict"] == answer.json()["verdict"]
            return answer.json(), ran.err


@pytest.fixture
def serving(hlx: Hlx, monkeypatch: pytest.MonkeyPatch) -> Serving:
    return Serving(hlx, monkeypatch)


@pytest.fixture
def checkpoint(curriculum: Curriculum, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The finished model of a home of its own, in which the commands look for models."""
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home"))
    return copied(curriculum, tmp_path / "home" / "artifacts", 3)


def verdict_of(checkpoint: Path) -> Path:
    return Artifacts.of_checkpoint(checkpoint).report(checkpoint) / "verdict.json"


def fail(checkpoint: Path) -> None:
    verdict = verdict_of(checkpoint)
    first, *others = read_json(verdict)["gates"]
    reseal(verdict, outcome="fail", gates=[{**first, "outcome": "fail"}, *others])


def test_a_model_that_passed_or_has_a_warning_is_served(serving: Serving, checkpoint: Path) -> None:
    name = f"{checkpoint.parents[1].name}/{checkpoint.name}"
    for arguments in ((), (checkpoint,), (name,), (checkpoint.parents[1].name[:6],)):
        answer, said = serving.served(*arguments)
        assert (answer["verdict"], answer["checkpoint"]) == ("warn", name)
        assert f"warning: {name}: verdict warn, learned by heart" in said
    reseal(verdict_of(checkpoint), outcome="pass")
    assert serving.served()[0]["verdict"] == "pass"


def test_a_model_that_failed_is_served_only_ungated(serving: Serving, checkpoint: Path) -> None:
    fail(checkpoint)
    said = serving.refused(checkpoint)
    assert "did not pass its gates, and is not served" in said and "verdict fail (training_completed)" in said
    assert said.endswith("with --ungated it is")
    assert "passed its gates" in serving.refused()
    answer, said = serving.served(checkpoint, "--ungated")
    assert answer["verdict"] == "fail" and "verdict fail (training_completed)" in said


def test_a_model_that_was_never_judged_is_served_only_ungated(serving: Serving, checkpoint: Path) -> None:
    shutil.rmtree(verdict_of(checkpoint).parent)
    said = serving.refused(checkpoint)
    assert "has no verdict, and is not served" in said and "was never evaluated: `hlx validate --checkpoint" in said
    answer, said = serving.served(checkpoint, "--ungated")
    assert answer["verdict"] == "none" and "was never evaluated" in said


def test_a_verdict_of_other_gates_counts_as_none(serving: Serving, checkpoint: Path) -> None:
    reseal(verdict_of(checkpoint), gates_version="of-other-gates")
    said = serving.refused(checkpoint)
    assert "has no verdict, and is not served" in said and "gates" in said
    assert serving.served(checkpoint, "--ungated")[0]["verdict"] == "none"


def test_a_verdict_on_other_weights_counts_as_none(serving: Serving, checkpoint: Path) -> None:
    reseal(verdict_of(checkpoint), weights_sha256="0" * 64)
    assert "has no verdict, and is not served" in serving.refused(checkpoint)


@pytest.mark.parametrize("format", ["safetensors", "pt"])
def test_an_export_is_served_by_its_verdict(
    serving: Serving, curriculum: Curriculum, checkpoint: Path, tmp_path: Path, format: str
) -> None:
    brain = tmp_path / "brain"
    export(curriculum.phases[3].checkpoint, brain, format)
    answer, _ = serving.served(brain)
    expected, _ = serving.served(checkpoint)
    assert answer == expected and answer["verdict"] == "warn"
    fail(checkpoint)  # what a later `hlx validate` writes beside the folder
    shutil.copytree(verdict_of(checkpoint).parent, tmp_path / "brain.report")
    assert "did not pass its gates, and is not served" in serving.refused(brain)
    assert serving.served(brain, "--ungated")[0]["verdict"] == "fail"


def test_an_export_that_was_never_judged_is_served_only_ungated(
    serving: Serving, checkpoint: Path, tmp_path: Path
) -> None:
    shutil.rmtree(verdict_of(checkpoint).parent)
    export(checkpoint, tmp_path / "brain")
    assert "has no verdict, and is not served" in serving.refused(tmp_path / "brain")
    assert serving.served(tmp_path / "brain", "--ungated")[0]["verdict"] == "none"


def test_a_changed_file_of_an_export_or_a_checkpoint_is_refused(
    serving: Serving, curriculum: Curriculum, checkpoint: Path, tmp_path: Path
) -> None:
    brain = tmp_path / "brain"
    export(curriculum.phases[3].checkpoint, brain)
    for path in sorted(brain.iterdir()):
        before = path.read_bytes()
        flip(path)
        assert serving.refused(brain) and serving.refused(brain, "--ungated"), path.name
        path.write_bytes(before)
    assert serving.served(brain)
    flip(checkpoint / WEIGHTS)
    assert WEIGHTS in serving.refused(checkpoint)


@pytest.mark.parametrize("phase", [1, 2])
def test_a_model_that_does_not_translate_is_refused(serving: Serving, curriculum: Curriculum, phase: int) -> None:
    said = serving.refused(curriculum.phases[phase].checkpoint, "--ungated")
    assert f"is of phase {phase}" in said and "does not translate: name a checkpoint of phase 3" in said


def test_a_training_that_was_stopped_is_refused(serving: Serving, small_document: Path, tmp_path: Path) -> None:
    assert "does not translate" in serving.refused(stopped(small_document, tmp_path / "artifacts"))


def test_without_any_model_it_says_what_to_do(
    serving: Serving, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    assert serving.refused()
    (tmp_path / "artifacts" / "training").mkdir(parents=True)
    assert "contains no finished phase 3: run `make curriculum`" in serving.refused()
    assert "nowhere: no such checkpoint" in serving.refused("nowhere")


def test_the_options_set_what_the_server_does(hlx: Hlx, checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[Any] = []
    monkeypatch.setattr(server, "serve", lambda *arguments, **options: found.extend((*arguments, options)))
    options = ("--host", "::1", "--port", 5099, "--slots", 3, "--waiting", 4, "--seconds", 5, "--device", "cpu")
    assert hlx("serve", checkpoint, "--watch", *options).code == 0
    load, *others = found
    service = load()
    assert others == ["::1", 5099, {"watch": True}]
    assert (service.limits, service.device) == (Limits(slots=3, waiting=4, seconds=5.0), "cpu")


def test_a_port_in_use_is_one_line(hlx: Hlx, checkpoint: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ran = hlx("serve", "--port", port)
        assert ran.code == 1 and ran.error == f"error: port {port} is in use: free it, or set --port"


def test_strangers_are_let_in_only_with_a_token(hlx: Hlx, checkpoint: Path) -> None:
    ran = hlx("serve", "--host", "0.0.0.0")
    assert ran.code == 1 and "to listen on 0.0.0.0 needs HLX_API_TOKEN" in ran.error


def test_without_its_packages_it_says_how_to_install_them(
    hlx: Hlx, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "find_spec", lambda name: None if name == "fastapi" else object())
    ran = hlx("serve")
    assert ran.code == 1 and ran.err == f"{ran.error}\n"
    assert ran.error == "error: serving needs fastapi: pip install -c constraints.txt -e '.[serve]'"


def test_a_reload_finds_a_broken_file_and_a_verdict_that_is_gone(
    curriculum: Curriculum, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    copy = copied(curriculum, tmp_path / "artifacts", 3)
    service = Service(str(copy), copy.parents[2], limits=Limits())
    with TestClient(create_app(service), base_url="http://127.0.0.1") as client:
        assert client.post("/reload").status_code == 200
        flip(copy / WEIGHTS)
        refused = client.post("/reload")
        assert refused.status_code == 409 and "model.safetensors: its SHA-256 is not the recorded one" in refused.text
        assert client.post("/translate", json=SORT).json()["verdict"] == "warn"
        shutil.rmtree(Artifacts.of_checkpoint(copy).report(copy))
        assert client.post("/reload").status_code == 409
        assert client.post("/translate", json=SORT).json()["verdict"] == "none"
        assert "verdict none, was warn" in caplog.text
