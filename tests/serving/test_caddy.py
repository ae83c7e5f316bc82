"""Caddy of the compose file refuses what the request guards refuse, requires a login, and finds the right server."""

import base64
import http.client
import os
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from hlx_assets.ui import free_port
from tests.support.programs import program

pytestmark = pytest.mark.system

CADDYFILE = Path(__file__).parents[2] / "deploy" / "Caddyfile"
OPTIONS = "{{\n\thttp_port {http}\n\thttps_port {https}\n\tadmin off\n\tskip_install_trust\n}}\n"
LOGIN = {"Authorization": "Basic " + base64.b64encode(b"me:secret").decode()}
JSON = {"Content-Type": "application/json"}
UPGRADE = {
    "Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}  # fmt: skip


class Behind(BaseHTTPRequestHandler):
    """The webserver behind Caddy: it answers 200 to everything, or opens a WebSocket."""

    name = ""

    def handle_any(self) -> None:
        """Answer."""
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("Upgrade"):
            self.send_response(101)
            self.send_header("Connection", "Upgrade")
            self.send_header("Upgrade", "websocket")
            self.end_headers()
            self.close_connection = True
            return
        body = f"{self.name}{self.headers['Host']}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = handle_any  # noqa: N815  # as http.server calls them

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing."""


class Center(Behind):
    """The Training Center behind Caddy."""

    name = "center of "


class Serve(Behind):
    """`hlx serve` behind Caddy: it answers with its path."""

    @property
    def name(self) -> str:  # type: ignore[override]
        """What it begins its answer with."""
        return f"{self.path} of "


@dataclass
class Door:
    """Caddy on loopback, with its own certificate authority."""

    http: int = field(default_factory=lambda: free_port(0))
    https: int = field(default_factory=lambda: free_port(0))

    @property
    def site(self) -> str:
        """Host and port."""
        return f"localhost:{self.https}"

    def ask(self, method: str = "GET", path: str = "/", body: str | None = None, **headers: str) -> tuple[int, str]:
        """Send one request with the login; return status and body of the answer."""
        context = ssl._create_unverified_context()
        connection = http.client.HTTPSConnection("localhost", self.https, timeout=10, context=context)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            connection.request(method, path, body, {**LOGIN, **named})
            answer = connection.getresponse()
            return answer.status, "" if answer.status == 101 else answer.read().decode()
        finally:
            connection.close()


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    caddy, folder, made = program("caddy"), tmp_path_factory.mktemp("caddy"), Door()
    text = CADDYFILE.read_text(encoding="utf-8")
    upstreams = {"webserver:3000": ThreadingHTTPServer(("127.0.0.1", 0), Behind),
                 "center:5000": ThreadingHTTPServer(("127.0.0.1", 0), Center),
                 "serve:5001": ThreadingHTTPServer(("127.0.0.1", 0), Serve)}  # fmt: skip
    for name, upstream in upstreams.items():
        threading.Thread(target=upstream.serve_forever, daemon=True).start()
        text = text.replace(name, f"127.0.0.1:{upstream.server_address[1]}")
    version = subprocess.run([caddy, "version"], capture_output=True, text=True, check=True).stdout
    if version.startswith(("2.6", "v2.6")):  # Debian's; its word for the directive is older
        text = text.replace("basic_auth", "basicauth")
    (folder / "Caddyfile").write_text(OPTIONS.format(http=made.http, https=made.https) + text, encoding="utf-8")
    hashed = subprocess.run(
        [caddy, "hash-password", "--plaintext", "secret"], capture_output=True, text=True, check=True
    ).stdout.strip()
    environment = {
        **os.environ, "HLX_SITE": "localhost, hlx.test", "HLX_LOGIN_USER": "me", "HLX_LOGIN_HASH": hashed,
        "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder), "HOME": str(folder),
    }  # fmt: skip
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [caddy, "run", "--config", str(folder / "Caddyfile"), "--adapter", "caddyfile"],
            env=environment, stdout=log, stderr=log,
        )  # fmt: skip
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                made.ask()
                break
            except OSError:
                assert process.poll() is None and time.monotonic() < deadline, (folder / "log").read_text()
                time.sleep(0.2)
        yield made
    finally:
        process.terminate()
        process.wait(20)
        for upstream in upstreams.values():
            upstream.shutdown()
            upstream.server_close()


def test_pages_of_the_site_reach_the_webserver_by_its_name(door: Door) -> None:
    own = {"Origin": f"https://{door.site}", "Sec-Fetch-Site": "same-origin"}
    assert door.ask() == (200, door.site)
    assert door.ask("POST", "/graphql", "{}", **own, **JSON) == (200, door.site)
    assert door.ask("POST", "/graphql", "{}", **JSON)[0] == 200
    assert door.ask("POST", Content_Length="0")[0] == 200
    assert door.ask("GET", "/graphql", Origin=f"https://{door.site}", **UPGRADE)[0] == 101
    assert door.ask("GET", "/graphql?query=%7Bversion%7D&variables=%7B%7D")[0] == 200
    assert door.ask("GET", "/runs?q=mutation", Sec_Fetch_Site="cross-site")[0] == 200


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", "localhost.evil.example", "hlx.test.evil.example"])
def test_another_host_is_refused(door: Door, host: str) -> None:
    status, said = door.ask(Host=host)
    assert status == 403 and "HLX_SITE" in said
    connection = http.client.HTTPConnection("127.0.0.1", door.http, timeout=10)
    connection.request("GET", "/", headers={"Host": host})
    assert connection.getresponse().status == 403
    connection.close()


FOREIGN = [
    {"Origin": "null"},
    {"Origin": "https://evil.example"},
    {"Origin": "https://localhost"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "cross-site"},
]


@pytest.mark.parametrize("headers", FOREIGN, ids=str)
def test_a_request_of_a_foreign_page_is_refused(door: Door, headers: dict[str, str]) -> None:
    for method in ("POST", "PUT", "DELETE"):
        status, said = door.ask(method, "/graphql", "{}", **headers, **JSON)
        assert status == 403 and "HLX_SITE" in said
    assert door.ask("GET", "/graphql", **headers, **UPGRADE)[0] == 403


@pytest.mark.parametrize("kind", ["text/plain", "text/plain; application/json", "multipart/form-data", "json"])
def test_a_body_that_is_no_json_is_refused(door: Door, kind: str) -> None:
    for method in ("POST", "GET"):
        assert door.ask(method, "/graphql", "{}", Content_Type=kind)[0] == 403
    assert door.ask("POST", "/graphql", "{}", Content_Type="Application/JSON; charset=utf-8")[0] == 200


@pytest.mark.parametrize(
    "query",
    [
        "query=mutation%7Bx%7D", "query=%6dutation%7Bx%7D", "query=mutation%7Bx%7D%23;", "query=mutation%7Bx%7D%23%zz",
        "query=%7Bversion%7D&query=mutation%7Bx%7D", "%71uery=mutation%7Bx%7D", "a=1&query=+mutation+X%7Bx%7D",
        "query=query+A%7Bversion%7D+mutation+B%7Bx%7D&operationName=B", "query=subscription%7Bx%7D",
        "query=mutation%7Bx%7D%",
    ],
)  # fmt: skip
def test_graphql_in_an_address_may_only_be_a_query(door: Door, query: str) -> None:
    for method, path in (("GET", "/graphql"), ("GET", "/graphql/"), ("HEAD", "/graphql"), ("POST", "/graphql")):
        assert door.ask(method, f"{path}?{query}", Content_Length="0")[0] == 403


def test_a_stranger_needs_the_login(door: Door) -> None:
    assert door.ask(Authorization="Basic bWU6d3Jvbmc=")[0] == 401
    assert door.ask(Authorization="Basic bWU6d3Jvbmc=", Origin="null", method="POST")[0] == 403


@pytest.mark.parametrize(
    "path", ["/api/health", "/api/training/start?x=1", "/training/status", "/center", "/center/", "/center/static/a.js"]
)
def test_the_training_center_has_its_part_of_the_site(door: Door, path: str) -> None:
    assert door.ask("GET", path) == (200, f"center of {door.site}")
    own = {"Origin": f"https://{door.site}", "Sec-Fetch-Site": "same-origin"}
    assert door.ask("PATCH", path, "{}", **own, **JSON) == (200, f"center of {door.site}")
    assert door.ask("GET", path, Origin=f"https://{door.site}", **UPGRADE)[0] == 101
    assert door.ask("GET", path, Origin="https://evil.example", **UPGRADE)[0] == 403
    assert door.ask("DELETE", path, Origin="null")[0] == 403
    assert door.ask("GET", path, Authorization="Basic bWU6d3Jvbmc=")[0] == 401


@pytest.mark.parametrize("path", ["/health", "/v1/chat/completions", "/translate?x=1", "/", "/api/health", "/center"])
def test_the_server_of_the_model_has_its_part_of_the_site(door: Door, path: str) -> None:
    own = {"Origin": f"https://{door.site}", "Sec-Fetch-Site": "same-origin"}
    assert door.ask("GET", f"/serve{path}") == (200, f"{path} of {door.site}")
    assert door.ask("POST", f"/serve{path}", "{}", **JSON) == (200, f"{path} of {door.site}")
    assert door.ask("POST", f"/serve{path}", "{}", **own, **JSON) == (200, f"{path} of {door.site}")
    assert door.ask("POST", f"/serve{path}", "{}", **JSON, Origin="http://localhost:5173")[0] == 403
    assert door.ask("POST", f"/serve{path}", "{}", **JSON, Sec_Fetch_Site="cross-site")[0] == 403
    for form in ({"Content-Type": "text/plain"}, {**FORM, **own}):
        assert door.ask("POST", f"/serve{path}", "a=1", **form)[0] == 403
    assert door.ask("GET", f"/serve{path}", Authorization="Basic bWU6d3Jvbmc=")[0] == 401


@pytest.mark.parametrize(
    "path",
    ["/", "/apix", "/api", "/centers", "/runs/center", "/graphql", "/training", "/x/api/y", "/serve", "/servex/health",
     "/x/serve/health"],
)  # fmt: skip
def test_the_rest_is_dagsters(door: Door, path: str) -> None:
    assert door.ask("GET", path) == (200, door.site)


FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def test_a_form_of_the_training_centers_own_page_passes(door: Door) -> None:
    own = {"Origin": f"https://{door.site}", "Sec-Fetch-Site": "same-origin"}
    assert door.ask("POST", "/center/sessions", "a=1", **own, **FORM) == (200, f"center of {door.site}")
    utf8 = {"Content-Type": "application/x-www-form-urlencoded; charset=UTF-8"}
    assert door.ask("POST", "/center/sessions", "a=1", **own, **utf8)[0] == 200


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/center/sessions", {}),
        ("/center/sessions", {"Origin": "null"}),
        ("/center/sessions", {"Origin": "https://evil.example"}),
        ("/center/sessions", {"Origin": "https://localhost"}),
        ("/center/sessions", {"Origin": "OWN", "Sec-Fetch-Site": "cross-site"}),
        ("/center/sessions", {"Origin": "OWN", "Content-Type": "text/plain"}),
        ("/center/sessions", {"Origin": "OWN", "Content-Type": "multipart/form-data"}),
        ("/center/sessions", {"Origin": "OWN", "Content-Type": "application/x-www-form-urlencodedx"}),
        ("/graphql", {"Origin": "OWN"}),
        ("/", {"Origin": "OWN"}),
        ("/center/../graphql", {"Origin": "OWN"}),
        ("/centers", {"Origin": "OWN"}),
        ("/report_asset_check/x?y=/center/", {"Origin": "OWN"}),
    ],
)
def test_any_other_form_is_refused(door: Door, path: str, headers: dict[str, str]) -> None:
    sent = {**FORM, **headers}
    if sent.get("Origin") == "OWN":
        sent["Origin"] = f"https://{door.site}"
    assert door.ask("POST", path, "a=1", **sent)[0] == 403
    assert door.ask("PUT", "/center/sessions", "a=1", **FORM, Origin=f"https://{door.site}")[0] == 403


def test_no_address_brings_a_form_to_dagster(door: Door) -> None:
    own = {"Origin": f"https://{door.site}", **FORM}
    for path in ("/center/%2e%2e/graphql", "/center/..%2fgraphql", "//center/x", "/CENTER/x", "/graphql/../center/x"):
        status, body = door.ask("POST", path, "a=1", **own)
        assert status == 403 or body.startswith("center of "), path
