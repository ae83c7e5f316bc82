"""A small API server of Kubernetes on loopback, which keeps pods; and a node, which runs their commands.

    with FakeKubernetes() as cluster:
        monkeypatch.setenv("KUBECONFIG", cluster.kubeconfig(tmp_path))
        ...
        cluster.run("hlx-1")               # the pod runs
        cluster.finish("hlx-1", 137, reason="OOMKilled")

Only what the launcher of pods uses is there: pods, their logs and their events. With `node=True`, each pod is a process
of this machine: it gets the variables of its container and none of the test's, SIGTERM if it is deleted, and SIGKILL
if it is deleted with a grace period of 0.
"""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import uuid
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

import yaml

_PATH = re.compile(r"/api/v1/namespaces/(?P<namespace>[^/]+)/(?P<kind>pods|events)(?:/(?P<name>[^/]+))?(?P<log>/log)?")
_PASSED_ON = ("PATH", "PYTHONPATH", "HOME", "TMPDIR")
"""What stands for the image of a pod."""


@dataclass(frozen=True)
class Request:
    """A request that the server got."""

    method: str
    path: str
    query: dict[str, str]


@dataclass
class FakeKubernetes:
    """The server, its pods by name, and how it misbehaves."""

    node: bool = False
    pods: dict[str, dict[str, Any]] = field(default_factory=dict)
    logs: dict[str, str] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    down: bool = False
    """Connections are closed without an answer."""
    loses_answer: bool = False
    """A pod is made, and the connection is closed without an answer; once."""
    keeps_deleted: bool = False
    """A deleted pod stays until it finishes or its grace period is 0; else it ends at once, unless a node runs it."""
    refusal: tuple[int, str] | None = None
    """Status and message of each answer."""

    def __enter__(self) -> Self:
        self._lock = threading.RLock()
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        for process in self._processes.values():
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    @property
    def address(self) -> str:
        """Return its address."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def kubeconfig(self, folder: Path) -> str:
        """Write the configuration of a client into a folder; return its path."""
        path = folder / "kubeconfig"
        path.write_text(
            yaml.safe_dump(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "current-context": "fake",
                    "clusters": [{"name": "fake", "cluster": {"server": self.address}}],
                    "users": [{"name": "fake", "user": {"token": "none"}}],
                    "contexts": [{"name": "fake", "context": {"cluster": "fake", "user": "fake"}}],
                }
            )
        )
        return str(path)

    def asked(self, method: str) -> list[Request]:
        """Return the requests with a method."""
        return [request for request in self.requests if request.method == method]

    def condition(self, name: str, kind: str, status: str, reason: str, message: str) -> None:
        """Give a pod a condition."""
        with self._lock:
            conditions = self.pods[name]["status"].setdefault("conditions", [])
            conditions[:] = [one for one in conditions if one["type"] != kind]
            conditions.append({"type": kind, "status": status, "reason": reason, "message": message})

    def wait(self, name: str, reason: str, message: str = "") -> None:
        """Let the container of a pod wait."""
        self._set(name, "Pending", {"waiting": {"reason": reason, "message": message}})

    def run(self, name: str) -> None:
        """Let a pod run."""
        self.condition(name, "PodScheduled", "True", "", "")
        self._set(name, "Running", {"running": {"startedAt": "2026-12-01T00:00:00Z"}})

    def finish(self, name: str, code: int, **terminated: str) -> None:
        """End the container of a pod; one that was deleted is removed."""
        with self._lock:
            phase = "Failed" if code else "Succeeded"
            reason = {"reason": "Error" if code else "Completed"}
            self._set(name, phase, {"terminated": {"exitCode": code, **reason, **terminated}})
            if "deletionTimestamp" in self.pods[name]["metadata"]:
                del self.pods[name]

    def fail(self, name: str, reason: str, message: str) -> None:
        """Let a pod fail without a word about its container, as one that is evicted."""
        with self._lock:
            self.pods[name]["status"] = {"phase": "Failed", "reason": reason, "message": message}

    def remove(self, name: str) -> None:
        """Remove a pod at once."""
        with self._lock:
            del self.pods[name]

    def _set(self, name: str, phase: str, state: dict[str, Any]) -> None:
        with self._lock:
            pod = self.pods[name]
            pod["spec"]["nodeName"] = "gpu-1"
            pod["status"] |= {
                "phase": phase,
                "containerStatuses": [
                    {
                        "name": "trainer", "image": "i", "imageID": "i", "ready": False, "restartCount": 0,
                        "state": state,
                    }
                ],
            }  # fmt: skip

    def _make(self, namespace: str, pod: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        name = pod["metadata"]["name"]
        if name in self.pods:
            return _failure(409, f'pods "{name}" already exists')
        pod["metadata"] |= {"uid": str(uuid.uuid4()), "namespace": namespace}
        pod["status"] = {"phase": "Pending"}
        self.pods[name] = pod
        if self.node:
            self._start(name, pod["spec"]["containers"][0])
        return 201, pod

    def _start(self, name: str, container: dict[str, Any]) -> None:
        program, *arguments = container["command"]
        assert program == "python"
        kept = {key: os.environ[key] for key in _PASSED_ON if key in os.environ}
        variables = {one["name"]: one["value"] for one in container["env"]}
        output = tempfile.TemporaryFile()  # noqa: SIM115 (the thread that waits for the process reads it)
        process = subprocess.Popen(
            [sys.executable, *arguments], env={**kept, **variables}, stdin=subprocess.DEVNULL, stdout=output,
            stderr=output, start_new_session=True,
        )  # fmt: skip
        self._processes[name] = process
        self.run(name)

        def wait() -> None:
            code = process.wait()
            with self._lock, output:
                output.seek(0)
                self.logs[name] = output.read().decode()
                if name in self.pods:
                    self.finish(name, 128 - code if code < 0 else code)

        threading.Thread(target=wait, daemon=True).start()

    def _delete(self, name: str, grace: int) -> tuple[int, dict[str, Any]]:
        pod = self.pods[name]
        pod["metadata"]["deletionTimestamp"] = "2026-12-01T00:00:00Z"
        ended = "terminated" in str(pod["status"].get("containerStatuses"))
        process = self._processes.get(name)
        if process is not None and process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM if grace else signal.SIGKILL)
        if grace == 0 or ended or not (process or self.keeps_deleted):
            del self.pods[name]
        return 200, pod

    def _answer(self, method: str, path: str, body: bytes) -> tuple[int, Any]:
        split = urlsplit(path)
        query = {key: values[0] for key, values in parse_qs(split.query).items()}
        self.requests.append(Request(method, split.path, query))
        found = _PATH.fullmatch(split.path)
        if self.refusal is not None:
            return _failure(*self.refusal)
        assert found is not None, path
        if found["kind"] == "events":
            return 200, {"apiVersion": "v1", "kind": "EventList", "metadata": {}, "items": self.events}
        if method == "POST":
            return self._make(found["namespace"], json.loads(body))
        name = found["name"]
        if name not in self.pods:
            return _failure(404, f'pods "{name}" not found')
        if method == "DELETE":
            return self._delete(name, int(query["gracePeriodSeconds"]))
        return 200, self.logs.get(name, "") if found["log"] else self.pods[name]

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        cluster = self

        class Handler(BaseHTTPRequestHandler):
            def _serve(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                if cluster.down:
                    return
                with cluster._lock:
                    status, answer = cluster._answer(self.command, self.path, body)
                    lost, cluster.loses_answer = cluster.loses_answer, False
                    content = (answer if isinstance(answer, str) else json.dumps(answer)).encode()
                if lost:
                    return
                self.send_response(status)
                self.send_header("Content-Type", "text/plain" if isinstance(answer, str) else "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = do_DELETE = _serve  # noqa: N815 (names of http.server)

            def log_message(self, format: str, *arguments: object) -> None:
                pass

        return Handler


def _failure(status: int, message: str) -> tuple[int, dict[str, Any]]:
    return status, {"apiVersion": "v1", "kind": "Status", "status": "Failure", "message": message, "code": status}
