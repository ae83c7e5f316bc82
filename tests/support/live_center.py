"""A live Training Center: the program of `make ui`, or of `make center`, used over HTTP."""

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from hlx_assets.ui import free_port
from tests.support.dagster_home import Home
from tests.support.live_dagster import Ui, make_ui
from tests.support.waiting import wait_for


class Api:
    """The Center on a loopback port."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.token = ""
        """Sent with each request, if there is one."""

    def ask(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """Send a request; the status and the content of its answer."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"content-type": "application/json"} | (
            {"authorization": f"Bearer {self.token}"} if self.token else {}
        )
        request = urllib.request.Request(self.url + path, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                return response.status, json.loads(response.read() or b"null")
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read() or b"null")

    def get(self, path: str) -> Any:
        """The content of an answer that must be a good one."""
        status, content = self.ask("GET", path)
        assert status == 200, (path, status, content)
        return content

    def start(self, corpus: str, **request: Any) -> str:
        """Queue a session; its id."""
        status, content = self.ask("POST", "/api/training/start", {"corpus": corpus, **request})
        assert status == 201, content
        return str(content["id"])

    def resume(self, session_id: str) -> str:
        """Resume a session; the id of the new one."""
        status, content = self.ask("POST", f"/api/training/{session_id}/resume")
        assert status == 201, content
        return str(content["id"])

    def cancel(self, session_id: str) -> None:
        """Cancel a session, and wait for its end."""
        status, content = self.ask("POST", f"/api/training/cancel/{session_id}")
        assert status == 200, content
        self.wait_for_state(session_id, "canceled")

    def session(self, session_id: str) -> dict[str, Any]:
        """One session."""
        found: dict[str, Any] = self.get(f"/api/training/status/{session_id}")
        return found

    def wait(self, session_id: str, what: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Wait until a session is as `what` says; the session then."""
        found: list[dict[str, Any]] = []

        def well() -> bool:
            found.append(self.session(session_id))
            return what(found[-1])

        wait_for(well, f"for session {session_id}")
        return found[-1]

    def wait_for_state(self, session_id: str, *states: str) -> dict[str, Any]:
        """Wait until a session has one of these states; the session then."""
        return self.wait(session_id, lambda found: found["state"] in states)

    def ready(self) -> bool:
        """Whether it answers."""
        with suppress(OSError, AssertionError):
            self.get("/api/health")
            return True
        return False


@contextmanager
def make_ui_with_center(home: Home, environment: Mapping[str, str] = {}) -> Iterator[tuple[Ui, Api]]:
    """Run the program of `make ui` on a home, with the Center on a free port."""
    port = free_port(0)
    with make_ui(home, {**environment, "HLX_CENTER_PORT": str(port)}) as ui:
        api = Api(port)
        wait_for(api.ready, "for the Training Center")
        yield ui, api


@contextmanager
def make_center(home: Home, api: Api) -> Iterator["subprocess.Popen[bytes]"]:
    """Run the program of `make center` on the port of an earlier one; it is killed at the end."""
    port = api.url.rpartition(":")[2]
    with (home.path / "dagster.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "hlx_assets.center", "-p", port], cwd=home.path, stdout=log, stderr=log,
            env={**os.environ, "PYTHONWARNINGS": "ignore"}, start_new_session=True,
        )  # fmt: skip
    try:
        wait_for(api.ready, "for the Training Center")
        yield process
    finally:
        process.kill()
        process.wait()
