"""`python -m hlx_assets.center`: one port, one guard, one line that says where it is."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from hlx_assets.center import packages
from hlx_assets.center.__main__ import main, ui_address
from hlx_assets.ui import free_port
from tests.support.command import Hlx, Ran, runner
from tests.support.dagster_home import make_home
from tests.support.waiting import wait_for

TOKEN = "correct-horse"
STUDIO = "http://localhost:3000"


class Program:
    """A Training Center on a loopback port, with a token."""

    def __init__(self, port: int, process: "subprocess.Popen[bytes]", log: Path) -> None:
        self.port, self.process, self.log = port, process, log

    def ask(self, method: str, path: str, body: str | None = None, **headers: str) -> tuple[int, str, str]:
        """Send one request; return status, body and the header Access-Control-Allow-Origin of its answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            connection.request(method, path, body, named)
            answer = connection.getresponse()
            return answer.status, answer.read().decode(), answer.getheader("Access-Control-Allow-Origin") or ""
        finally:
            connection.close()

    def ready(self) -> bool:
        """Whether it answers."""
        assert self.process.poll() is None, self.log.read_text()
        try:
            return self.ask("GET", "/api/health")[0] == 200
        except OSError:
            return False


@contextmanager
def program(folder: Path, *arguments: str) -> Iterator[Program]:
    port, log = free_port(0), folder / "center.log"
    make_home(folder / "home")
    (folder / ".env").write_text("DAGSTER_HOME=/nowhere")
    environment = {
        **os.environ, "DAGSTER_HOME": str(folder / "home"), "HLX_API_TOKEN": TOKEN, "HLX_ALLOWED_ORIGINS": STUDIO,
        "PYTHONWARNINGS": "ignore",
    }  # fmt: skip
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "hlx_assets.center", "-p", str(port), *arguments],
            env=environment, cwd=folder, stdout=output, stderr=output,
        )  # fmt: skip
    try:
        yield Program(port, process, log)
    finally:
        process.kill()
        process.wait()


@pytest.mark.system
def test_the_program_serves_behind_its_guard_and_ends_with_all_that_it_started(tmp_path: Path) -> None:
    with program(tmp_path) as center:
        wait_for(center.ready, "for the Training Center")
        address = f"http://127.0.0.1:{center.port}"
        assert center.log.read_text().splitlines()[-2:] == [
            f"log in first: {address}/?token=… (the value of HLX_API_TOKEN)",
            f"the Training Center: {address}/center",
        ]
        # Its health alone needs no token.
        status, body, _ = center.ask("GET", "/api/training/queue")
        assert status == 403 and "HLX_API_TOKEN" in json.loads(body)["detail"]
        assert center.ask("GET", "/center")[0] == 403
        bearer = {"Authorization": f"Bearer {TOKEN}"}
        assert center.ask("GET", "/api/training/queue", **bearer)[0] == 200
        assert center.ask("GET", "/api/health", Host="evil.example")[0] == 403
        # A page of the studio may ask, and read.
        asked = {"Origin": STUDIO, "Access_Control_Request_Method": "POST"}
        assert center.ask("OPTIONS", "/api/training/start", **asked)[::2] == (200, STUDIO)
        assert center.ask("GET", "/api/training/queue", Origin=STUDIO, **bearer)[2] == STUDIO
        foreign = {"Origin": "http://evil.example", "Content_Type": "application/json", **bearer}
        assert center.ask("POST", "/api/training/start", "{}", **foreign)[::2] == (403, "")
        form = {"Content_Type": "application/x-www-form-urlencoded", **bearer}
        assert center.ask("POST", "/center/sessions", "a=1", **form)[0] == 403
        assert center.ask("POST", "/center/no-such-form", "a=1", Origin=address, **form)[0] in (404, 405)
        children = psutil.Process(center.process.pid).children(recursive=True)
        # Dagster would read an `.env` of the folder that it was started in.
        assert children and {child.cwd() for child in children} == {str(tmp_path / "home")}
        center.process.send_signal(signal.SIGTERM)
        assert center.process.wait(60) == 0
        _, alive = psutil.wait_procs(children, timeout=30)
        assert alive == [] and "Traceback" not in center.log.read_text()


@pytest.fixture
def center(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Hlx:
    """The program, run in this process, which refuses before it serves."""
    make_home(tmp_path / "home")
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    return runner(main, "python -m hlx_assets.center", monkeypatch, capsys)


def test_a_port_in_use_is_one_line_and_no_other_is_taken(center: Hlx, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = f"error: port {port} is in use: free it, or set HLX_CENTER_PORT\n"
        assert center("-p", port) == Ran(1, "", said)
        monkeypatch.setenv("HLX_CENTER_PORT", str(port))
        assert center() == Ran(1, "", said)
    with socket.create_server(("0.0.0.0", 0)) as everywhere:
        assert "is in use" in center("-p", everywhere.getsockname()[1]).error


@pytest.mark.parametrize(
    ("arguments", "environment", "said"),
    [
        (("-h", "0.0.0.0"), {}, "to listen on 0.0.0.0 needs HLX_API_TOKEN"),
        (("-h", "no-such-host.invalid"), {"HLX_API_TOKEN": TOKEN}, "cannot listen on no-such-host.invalid, port 5000"),
        (("--ui-url", "javascript:alert(1)"), {}, "--ui-url is 'javascript:alert(1)': it must be an address"),
        ((), {"HLX_CENTER_PORT": "http"}, "HLX_CENTER_PORT is 'http': it must be a port, from 1 to 65535"),
        ((), {"HLX_ALLOWED_ORIGINS": "*"}, "HLX_ALLOWED_ORIGINS is '*': it must be origins"),
        (("-p", "0"), {}, "--port is 0: it must be from 1 to 65535"),
        (("-p", "65536"), {}, "--port is 65536: it must be from 1 to 65535"),
    ],
)
def test_an_impossible_start_is_refused_in_one_line(
    center: Hlx, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], environment: dict[str, str], said: str
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    refused = center(*arguments)
    assert refused.code in (1, 2) and f"error: {said}" in refused.err.splitlines()[-1]


def test_without_its_extra_the_program_says_how_to_install_it(center: Hlx, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "find_spec", lambda name: None)
    assert center().error.endswith("pip install -c constraints.txt -e '.[assets,center]'")


@pytest.mark.parametrize(
    ("given", "variable", "behind_proxy", "expected"),
    [
        (None, "", False, "http://127.0.0.1:3000"),
        (None, "", True, ""),
        (None, "https://hlx.example.org/", True, "https://hlx.example.org"),
        ("http://10.0.0.2:3001/", "https://hlx.example.org", False, "http://10.0.0.2:3001"),
        ("", "https://hlx.example.org", False, ""),
    ],
)
def test_the_address_of_dagsters_ui_is_the_first_that_is_named(
    monkeypatch: pytest.MonkeyPatch, given: str | None, variable: str, behind_proxy: bool, expected: str
) -> None:
    monkeypatch.setenv("HLX_UI_URL", variable)
    assert ui_address(given, behind_proxy=behind_proxy) == expected
