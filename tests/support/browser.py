"""Debian's Chromium, driven by playwright; and what goes wrong on a page in it."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from typing import Any

from playwright.sync_api import Browser, Page, expect, sync_playwright

OPTIONS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
PATIENCE_MS = 60_000
REPORT_VIOLATIONS = """document.addEventListener("securitypolicyviolation", event =>
  console.error(`refused by the policy: ${event.violatedDirective} ${event.blockedURI}`));"""
LEFT = "net::ERR_ABORTED"
"""How a request ends whose page is left or loaded again."""


@contextmanager
def chromium(executable: str) -> Iterator[Browser]:
    """Run a Chromium without a window; playwright's assertions wait as long as all else does."""
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=OPTIONS)
        yield browser
        browser.close()


@contextmanager
def visit(browser: Browser, site: str, **options: Any) -> Iterator[Page]:
    """Open a blank page, without cookies; at the end, nothing may have gone wrong on what was seen in it.

    That is: no message in the console, no error of a script, no request that failed or was refused, none to another
    host, and nothing that the content security policy refused.

    Args:
        browser: of `chromium`.
        site: the only server that the pages may use, as `http://127.0.0.1:5000`.
        options: of `Browser.new_context`.
    """
    wrong: list[str] = []

    def note(is_wrong: bool, what: str) -> None:
        if is_wrong:
            wrong.append(what)

    context = browser.new_context(**{"base_url": site, "viewport": {"width": 1280, "height": 900}, **options})
    context.set_default_timeout(PATIENCE_MS)
    context.add_init_script(REPORT_VIOLATIONS)
    context.on("console", lambda one: note(True, f"console, {one.type}: {one.text} ({one.location['url']})"))
    context.on("weberror", lambda one: note(True, f"error: {one.error}"))
    context.on("request", lambda one: note(not one.url.startswith((f"{site}/", "data:")), f"request: {one.url}"))
    context.on("requestfailed", lambda one: note(one.failure != LEFT, f"failed: {one.url}: {one.failure}"))
    context.on("response", lambda one: note(one.status >= 400, f"answer {one.status}: {one.url}"))
    page = context.new_page()
    own = site.replace("http", "ws", 1)
    page.on("websocket", lambda one: note(not one.url.startswith(f"{own}/"), f"WebSocket: {one.url}"))
    try:
        yield page
    except BaseException as error:
        error.add_note("\n".join(["on the page:", *wrong]))
        raise
    finally:
        context.close()
    assert not wrong, wrong


def unusable(page: Page) -> list[str]:
    """Return what axe-core finds on a page that makes it unusable, or hard to use, for people with disabilities."""
    # The policy of the page allows no further script element, so axe is evaluated as the browser's debugger does.
    page.evaluate((files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8"))
    found = page.evaluate("axe.run({resultTypes: ['violations']})")
    return [
        f"{one['id']}, {one['impact']}: {node['target']} {node['failureSummary']}"
        for one in found["violations"] if one["impact"] in ("serious", "critical") for node in one["nodes"]
    ]  # fmt: skip
