"""The UI behind its guard, in a real browser: its own pages work, and another page can do nothing to it."""

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import dagster as dg
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support.browser import PATIENCE_MS, chromium
from tests.support.dagster_home import Home
from tests.support.live_dagster import Ui, make_ui
from tests.support.programs import program

ASSET = dg.AssetKey("corpus_document")
WIPE = 'mutation { wipeAssets(assetPartitionRanges: [{assetKey: {path: ["corpus_document"]}}]) { __typename } }'
ATTACK = """<!doctype html><title>another page</title><body><script>
const url = URL_, wipe = WIPE_, outcome = {};
const add = (tag, values) => document.body.appendChild(Object.assign(document.createElement(tag), values));
window.outcome = (async () => {
  add("img", {src: `${url}?query=${encodeURIComponent(wipe)}`});
  add("iframe", {src: `${url}?query=${encodeURIComponent(wipe)}`});
  const body = JSON.stringify({query: wipe});
  for (const type of ["text/plain", "text/plain; application/json", "application/x-www-form-urlencoded"])
    outcome[type] = (await fetch(url, {method: "POST", mode: "no-cors", headers: {"content-type": type}, body})).type;
  outcome.json = await fetch(url, {method: "POST", headers: {"content-type": "application/json"}, body})
    .then(() => "answered", () => "refused");
  outcome.empty = await fetch(`${url}?query=${encodeURIComponent(wipe)}`, {method: "POST", mode: "no-cors"})
    .then(answer => answer.type);
  outcome.socket = await new Promise(done => {
    const socket = new WebSocket(url.replace("http", "ws"), "graphql-ws");
    socket.onopen = () => done("open");
    socket.onerror = () => done("refused");
  });
  return outcome;
})();
</script>"""


@contextmanager
def page_at(content: str) -> Iterator[int]:
    """Serve a page on a port of its own: to a browser that is another origin."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # the name that http.server calls
            self.send_response(200)
            self.send_header("content-type", "text/html")
            self.end_headers()
            self.wfile.write(content.encode())

        def log_message(self, format: str, *arguments: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


def is_materialized(home: Home) -> bool:
    with home.instance() as instance:
        return instance.get_latest_materialization_event(ASSET) is not None


def open_page(browser: Browser, address: str) -> Page:
    page = browser.new_page(viewport={"width": 1600, "height": 1000})
    page.set_default_timeout(PATIENCE_MS)
    page.goto(address)
    return page


def use_the_ui(browser: Browser, ui: Ui) -> None:
    """Look at the graph and a launchpad, materialize an asset, and see it and its checks change without a reload."""
    site = ui.url.removesuffix("/graphql")
    graph = open_page(browser, f"{site}/asset-groups/?expanded=global%40global%3Acorpus")
    expect(graph.get_by_text("corpus_examples").first).to_be_visible(timeout=PATIENCE_MS)
    launchpad = open_page(browser, f"{site}/locations/hlx/jobs/curriculum/playground")
    expect(launchpad.get_by_text("retry_stopped").first).to_be_visible(timeout=PATIENCE_MS)
    shown = launchpad.locator(".CodeMirror-code").first.inner_text()
    assert "accumulation" in shown and "gates" not in shown and "io_manager" not in shown and "resources" not in shown

    page = open_page(browser, f"{site}/assets/corpus_document")
    ago = page.get_by_text(re.compile(r"ago$"))
    expect(ago).to_have_count(1, timeout=PATIENCE_MS)  # when the code location was loaded
    page.get_by_role("button", name="Materialize").first.click()
    expect(ago).to_have_count(2, timeout=PATIENCE_MS)  # and when the asset was materialized

    checks = open_page(browser, f"{site}/assets/corpus_examples?view=checks")
    expect(checks.get_by_text("Not Evaluated").first).to_be_visible(timeout=PATIENCE_MS)
    checks.get_by_role("button", name="Materialize").first.click()
    expect(checks.get_by_text("Succeeded").first).to_be_visible(timeout=PATIENCE_MS)

    received: list[str | bytes] = []
    log = browser.new_page()
    log.on("websocket", lambda socket: socket.on("framereceived", lambda frame: received.append(frame)))
    log.goto(f"{site}/runs/{ui.newest_run()}")
    expect(log.get_by_text("RUN_SUCCESS").first).to_be_visible(timeout=PATIENCE_MS)
    assert any("RunSuccessEvent" in str(frame) for frame in received)


@pytest.mark.system
def test_the_ui_works_in_a_browser_and_another_page_can_do_nothing_to_it(
    empty_home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    executable = program("chromium", "chromium-browser", "google-chrome")
    monkeypatch.setenv("HLX_CORPUS", str(empty_home.path / "small.md"))
    with make_ui(empty_home) as ui, chromium(executable) as browser:
        use_the_ui(browser, ui)
        assert is_materialized(empty_home)

        attack = ATTACK.replace("URL_", json.dumps(ui.url)).replace("WIPE_", json.dumps(WIPE))
        with page_at(attack) as port:
            for host in ("127.0.0.1", "localhost"):  # of the same site, and of another
                page = open_page(browser, f"http://{host}:{port}/")
                outcome = page.evaluate("window.outcome")
                page.wait_for_load_state("networkidle")
                assert (outcome["json"], outcome["socket"]) == ("refused", "refused")
        assert is_materialized(empty_home)
        # What the page tried does work, if the UI itself sends it.
        own = open_page(browser, ui.url.removesuffix("/graphql"))
        own.evaluate(
            "query => fetch('/graphql', {method: 'POST', headers: {'content-type': 'application/json'}, "
            "body: JSON.stringify({query})}).then(answer => answer.json())",
            WIPE,
        )
        assert not is_materialized(empty_home)
