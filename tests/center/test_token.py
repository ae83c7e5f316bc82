"""From the moment a paid key is stored, the Training Center needs its token for everything but its health."""

import http.client
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from http.cookies import SimpleCookie
from pathlib import Path
from types import MappingProxyType
from typing import Any

import psutil
import pytest
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from hlx_assets.center import token
from hlx_assets.center.__main__ import HEALTH, JSON_PATHS
from hlx_assets.center.app import create_app
from hlx_assets.center.context import Center
from hlx_assets.center.token import own_token, required_by
from hlx_assets.ui import free_port
from hlx_model.providers.files import ProviderFiles
from hlx_model.providers.master_key import state_folder
from hlx_model.providers.secret import Secret
from hlx_model.providers.vault import Vault
from hlx_model.serving.guard import GuardSettings, RequestGuard
from tests.support.dagster_home import make_home
from tests.support.vaults import CLAUDE, leaks_in, leaks_under
from tests.support.waiting import wait_for

SOCKET = "ws://127.0.0.1:5000/training/status"


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's folder of state."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return state_folder()


def test_it_is_made_once_for_its_owner_alone(state: Path) -> None:
    made = own_token()
    assert own_token() == made and len(made) >= 32 and re.fullmatch(r"[\w-]+", made)
    path = state / "center.token"
    assert path.stat().st_mode & 0o777 == 0o600 and state.stat().st_mode & 0o777 == 0o700
    path.unlink()
    assert own_token() != made


@pytest.mark.parametrize(("text", "mode"), [("a" * 32, 0o644), ("", 0o600), ("short", 0o600), ("a b" * 20, 0o600)])
def test_one_that_others_know_or_can_guess_is_refused_and_not_repeated(state: Path, text: str, mode: int) -> None:
    state.mkdir(parents=True)
    (state / "center.token").write_text(text)
    (state / "center.token").chmod(mode)
    with pytest.raises(ValueError, match=r"center\.token is no token of yours alone: remove it") as raised:
        own_token()
    assert not text or text not in str(raised.value)


def test_where_none_can_be_kept_each_start_has_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    monkeypatch.setattr(token, "write_private", _refuses)
    assert own_token() != own_token()


def _refuses(*_: object) -> None:
    raise PermissionError(13, "Permission denied")


def test_it_is_required_while_a_paid_key_is_stored_and_of_a_vault_that_cannot_be_read(tmp_path: Path) -> None:
    home = tmp_path / "home"
    files, required = ProviderFiles.of_home(home), required_by(home)
    assert not required()
    entry = Vault(files).add("claude", "work", Secret.of(CLAUDE))  # as `hlx keys add` does, in another process
    assert required() and required()
    Vault(files).remove(entry.id)
    assert not required()
    files.keys.write_text("{")
    assert required()
    files.keys.unlink()
    assert not required()


def test_the_vault_is_read_again_only_if_it_has_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home, reads = tmp_path / "home", list[int]()
    files, required = ProviderFiles.of_home(home), required_by(home)
    Vault(files).add("claude", "work", Secret.of(CLAUDE))

    def has_paid_key(vault: Vault) -> bool:
        reads.append(1)
        return True

    monkeypatch.setattr(Vault, "has_paid_key", has_paid_key)
    assert all(required() for _ in range(5)) and len(reads) == 1
    Vault(files).add("claude", "two", Secret.of(CLAUDE))
    assert required() and len(reads) == 2


@contextmanager
def client_of(center: Center, secret: str) -> Iterator[TestClient]:
    """A client of the guarded application, as the program makes it."""
    guarded = RequestGuard(
        create_app(center), GuardSettings(token=secret), forms=True, open_paths=(HEALTH,),
        required=required_by(center.home), json_paths=JSON_PATHS,
    )  # fmt: skip
    with TestClient(guarded, base_url="http://127.0.0.1:5000", raise_server_exceptions=False) as client:
        yield client


def listens(client: TestClient, headers: dict[str, str]) -> bool:
    """Whether the WebSocket opens."""
    with suppress(WebSocketDisconnect), client.websocket_connect(SOCKET, headers={**headers}):
        return True
    return False


def test_with_the_first_paid_key_every_route_but_health_needs_it(center: Center) -> None:
    with client_of(center, "correct-horse") as client:
        routes = [
            (method.upper(), re.sub(r"\{[^}]*\}", "x", path))
            for path, methods in client.get("/api/openapi.json").json()["paths"].items()
            for method in methods
        ]
        assert len(routes) > 15 and ("GET", HEALTH) in routes and listens(client, {})
        routes += [(verb, path) for verb in ("GET", "POST") for path in ("/", "/center", "/docs", "/static/center.css")]
        assert client.get("/center").status_code == client.get("/api/training/queue").status_code == 200
        known = client.get(HEALTH).json()
        assert known["problems"]
        Vault(ProviderFiles.of_home(center.home)).add("claude", "work", Secret.of(CLAUDE))
        for method, path in routes:
            answer = client.request(method, path)
            if path != HEALTH:
                assert answer.status_code == 403, (method, path)
                assert "the link" in answer.text and "correct-horse" not in answer.text
        assert not listens(client, {}) and not listens(client, {"authorization": "Bearer wrong"})
        # Its health says whether it is well, and no more.
        found = client.get(HEALTH).json()
        assert (found["status"], found["problems"], found["alerts"]) == (known["status"], [], [])
        bearer = {"authorization": "Bearer correct-horse"}
        assert client.get("/api/training/queue", headers=bearer).status_code == 200 and listens(client, bearer)
        link = client.get("/center?token=correct-horse", follow_redirects=False)
        assert link.status_code == 303 and link.headers["location"] == "/center"
        assert client.get("/center").status_code == 200  # the client keeps the cookie, as a browser does


def test_one_who_has_it_may_send_it_before(center: Center) -> None:
    with client_of(center, "correct-horse") as client:
        bearer = {"authorization": "Bearer correct-horse"}
        assert client.get("/api/training/queue", headers=bearer).status_code == 200
        link = client.get("/center?token=correct-horse", follow_redirects=False)
        cookie = SimpleCookie(link.headers["set-cookie"])
        assert "correct-horse" not in cookie["hlx_token"].value


class Served:
    """The program of `make center` on a free port, without HLX_API_TOKEN."""

    def __init__(self, folder: Path, port: int) -> None:
        self.port, self.log = port, folder / "center.log"
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "hlx_assets.center", "-p", str(port)], cwd=folder, stdout=output, stderr=output,
                env={**os.environ, "DAGSTER_HOME": str(folder / "home"), "PYTHONWARNINGS": "ignore"},
            )  # fmt: skip

    def ask(self, path: str, headers: Mapping[str, str] = MappingProxyType({})) -> tuple[int, dict[str, str]]:
        """Return status and headers of an answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request("GET", path, headers=headers)
            answer = connection.getresponse()
            answer.read()
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}
        finally:
            connection.close()

    def listens(self, headers: dict[str, str]) -> bool:
        """Whether its WebSocket opens."""
        with (
            suppress(InvalidStatus),
            connect(f"ws://127.0.0.1:{self.port}/training/status", additional_headers=headers),
        ):
            return True
        return False

    def ready(self) -> bool:
        """Whether it answers."""
        assert self.process.poll() is None, self.log.read_text()
        with suppress(OSError):
            return self.ask(HEALTH)[0] == 200
        return False

    @property
    def link(self) -> str:
        """The link that it printed last, without its address."""
        return str(re.findall(rf"http://127\.0\.0\.1:{self.port}(/center\?token=\S+)", self.log.read_text())[-1])


@contextmanager
def served(folder: Path, port: int) -> Iterator[Served]:
    center = Served(folder, port)
    try:
        wait_for(center.ready, "for the Training Center")
        yield center
        center.process.send_signal(signal.SIGTERM)
        assert center.process.wait(60) == 0
    finally:
        center.process.kill()
        center.process.wait()


def hlx(folder: Path, *arguments: str, piped: str = "") -> Any:
    """Run the command `hlx`, as a person beside the Center does."""
    environment = {**os.environ, "DAGSTER_HOME": str(folder / "home"), "HTTPS_PROXY": "http://127.0.0.1:9"}
    command = [sys.executable, "-m", "hlx_model", *arguments]
    return subprocess.run(command, input=piped, text=True, capture_output=True, env=environment, check=False)


@pytest.mark.system
def test_the_program_asks_for_it_once_the_command_has_stored_a_key(tmp_path: Path) -> None:
    make_home(tmp_path / "home")
    port = free_port(0)
    with served(tmp_path, port) as center:
        assert center.ask("/center")[0] == center.ask("/api/training/queue")[0] == 200 and center.listens({})
        ran = hlx(tmp_path, "keys", "add", "--provider", "claude", "--name", "work", "--yes", piped=CLAUDE)
        assert ran.returncode == 2 and "stored: claude work" in ran.stdout, ran.stderr  # no provider is reached here
        for path in (
            "/center",
            "/api/training/queue",
            "/api/openapi.json",
            "/static/center.css",
            "/center?token=wrong",
        ):
            assert center.ask(path)[0] == 403, path
        assert center.ask(HEALTH)[0] == 200 and not center.listens({})
        status, headers = center.ask(center.link)
        assert status == 303 and headers["location"] == "/center" and "HttpOnly" in headers["set-cookie"]
        cookie = {"cookie": headers["set-cookie"].partition(";")[0]}
        assert center.ask("/center", cookie)[0] == 200 and center.listens(cookie)
        bearer = {"authorization": f"Bearer {center.link.partition('=')[2]}"}
        assert center.ask("/api/training/queue", bearer)[0] == 200 and center.listens(bearer)
        first = center.link
        processes = [center.process.pid, *(child.pid for child in psutil.Process(center.process.pid).children(True))]
        assert len(processes) > 1
        for process in processes:
            assert not leaks_in(Path(f"/proc/{process}/environ").read_bytes(), [CLAUDE])
            assert not leaks_in(Path(f"/proc/{process}/cmdline").read_bytes(), [CLAUDE])
    with served(tmp_path, port) as center:  # a browser stays logged in
        assert center.link == first and center.ask("/center")[0] == 403 and center.ask("/center", cookie)[0] == 200
        (key,) = json.loads(hlx(tmp_path, "keys", "list", "--json").stdout)
        assert hlx(tmp_path, "keys", "remove", key["id"]).returncode == 0 and center.ask("/center")[0] == 200
    assert leaks_under(tmp_path, [CLAUDE]) == []
