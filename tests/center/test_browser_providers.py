"""Three keys, three sessions with three providers, and twenty dollars, in a real browser; the providers are a fake."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
from playwright.sync_api import Browser, Page, expect

from hlx_model.providers.catalogue import PROVIDERS
from tests.support.browser import chromium, unusable, visit
from tests.support.dagster_home import Home, make_home, opened
from tests.support.fake_provider import FakeProvider
from tests.support.keyed import BAD, KEYS
from tests.support.live_center import Api, make_ui_with_center
from tests.support.live_dagster import corpora
from tests.support.programs import program
from tests.support.vaults import leaks_in, leaks_under
from tests.support.waiting import wait_for

MODELS = {"claude": "claude-haiku-4-5", "openai": "gpt-4o", "xai": "grok-4-1-fast-reasoning"}
SAID = "The loss falls as it should."


def opinion(system: str, user: str, schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """What every provider answers."""
    return {"verdict": "continue", "confidence": "medium", "signs": [SAID], "evidence": [], "advice": "", "note": ""}


@dataclass
class Site:
    """A live Center, a browser, and the fake provider."""

    home: Home
    api: Api
    browser: Browser
    fake: FakeProvider

    @property
    def link(self) -> str:
        """The link with the token that the Center has printed."""
        return str(re.findall(rf"{self.api.url}(/center\?token=\S+)", (self.home.path / "dagster.log").read_text())[-1])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    executable = program("chromium", "chromium-browser", "google-chrome")
    folder = tmp_path_factory.mktemp("providers")
    make_home(folder / "home")
    with opened(folder / "home") as home, FakeProvider(answer=opinion) as fake:
        corpora(home)
        own = {"HLX_PROVIDER_HOSTS": fake.hosts, "XDG_STATE_HOME": str(folder / "state"), "HLX_API_TOKEN": ""}
        with make_ui_with_center(home, own) as (_, api), chromium(executable) as browser:
            found = Site(home, api, browser, fake)
            api.token = found.link.partition("=")[2]
            yield found


def add_key(page: Page, provider: str, key: str) -> None:
    """Add a key on the page."""
    if not page.locator("#key-provider").is_visible():
        page.locator("#add-key > summary").click()
    page.locator("#key-provider").select_option(provider)
    page.locator("#key-name").fill("work")
    page.locator("#key-secret").fill(key)
    page.locator("#add-key-button").click()
    expect(page.locator("#keys")).to_contain_text(f"…{key[-4:]}")


def start(page: Page, provider: str, seed: int, before: str = "none") -> str:
    """Start a session of the tiny model with a supervisor; its id."""
    page.get_by_label("Target model").select_option("HelixTiny")
    page.get_by_label("Epochs", exact=True).fill("1")
    page.get_by_label("Supervisor", exact=True).select_option(f"{provider}/{MODELS[provider]}")
    if not page.locator("#seed").is_visible():
        page.get_by_text("More settings").click()
    page.locator("#seed").fill(str(seed))
    page.get_by_role("button", name="Start", exact=True).click()
    return started(page, before)


def started(page: Page, before: str = "none") -> str:
    """The id of the session that the form has started, as soon as it is another one than before."""
    link = page.locator(f"#new-session .started a:not([href$='{before}'])")
    expect(link).to_be_visible()
    return str(link.get_attribute("href")).rpartition("/")[2]


@pytest.mark.system
def test_three_providers_supervise_three_sessions_within_twenty_dollars(site: Site) -> None:
    sessions: dict[str, str] = {}
    with visit(site.browser, site.api.url) as page:
        page.goto(site.link)
        expect(page).to_have_url(f"{site.api.url}/center")
        expect(page.locator("#costs")).to_contain_text("$0.00 of $20.00")
        expect(page.locator("#models .dimmed")).to_have_count(3)
        for provider, key in KEYS.items():
            add_key(page, provider, key)
        expect(page.locator("#keys .badge.pass")).to_have_count(3)
        expect(page.locator("#models .dimmed")).to_have_count(0)
        expect(page.locator("#supervisor option:disabled")).to_have_count(0)

        page.get_by_label("Target model").select_option("HelixTiny")
        page.get_by_label("Epochs", exact=True).fill("1")
        page.get_by_label("Supervisor", exact=True).select_option(f"claude/{MODELS['claude']}")
        page.get_by_role("button", name="Estimate").click()
        expect(page.locator("#estimate")).to_contain_text(
            re.compile(r"at most \$[\d.]+; the cap of a session is \$5\.00")
        )
        for seed, provider in enumerate(KEYS, 41):
            sessions[provider] = start(page, provider, seed, before=next(reversed(sessions.values()), "none"))
        for provider, session in sessions.items():
            expect(page.locator(f"#session-{session}")).to_contain_text(f"{MODELS[provider]} → HelixTiny")

        for session in sessions.values():
            site.api.wait(session, lambda found: found["status"] in ("completed", "failed"))
            wait_for(lambda: bool(site.api.get(f"/api/training/{session}/opinions")), "for an opinion")  # noqa: B023
        for provider, session in sessions.items():
            found = site.api.get(f"/api/training/{session}/opinions")[-1]
            assert (found["outcome"], found["verdict"], found["provider"]) == ("answered", "continue", provider)
            page.goto(f"/center/sessions/{session}")
            expect(page.locator(f"#opinions-{session}")).to_contain_text(SAID)
        assert {one.provider for one in site.fake.asked} == {*KEYS}
        page.goto("/center")
        spent = site.api.get("/api/costs")
        assert {*spent["by_provider"]} == {*KEYS} and 0 < spent["all_usd"] < spent["caps_usd"]["all"] == 20
        assert {*spent["by_session"]} == {*sessions.values()}
        costs = page.locator("#costs table")
        for provider in KEYS:
            expect(costs.get_by_role("row", name=re.compile(rf"^provider {provider} \$0\.0\d+$"))).to_be_visible()
        rows = site.api.get("/api/training/history")
        assert all(row["cost_usd"] > 0 for row in rows if row["session"]["id"] in sessions.values())

        shown = page.content()
    keys = list(KEYS.values())
    assert not leaks_in(shown, keys) and not leaks_under(site.home.path, keys)
    for process in psutil.process_iter():
        try:
            environment = Path(f"/proc/{process.pid}/environ").read_bytes()
        except OSError:
            continue
        assert not leaks_in(environment, keys), process


@pytest.mark.system
def test_a_bad_key_is_refused_replaced_and_removed_and_a_cap_needs_the_token(site: Site) -> None:
    with visit(site.browser, site.api.url) as page:
        page.on("dialog", lambda dialog: dialog.accept())
        page.goto(site.link)
        for found in site.api.get("/api/keys/list"):
            site.api.ask("DELETE", f"/api/keys/{found['id']}")
        page.reload()
        add_key(page, "openai", BAD)
        expect(page.locator("#keys")).to_contain_text("Incorrect API key provided")
        expect(page.locator("#supervisor option:disabled")).to_have_count(
            sum(len(PROVIDERS[name].models) for name in ("claude", "openai", "xai"))
        )
        (key,) = site.api.get("/api/keys/list")
        edit = page.locator(f"#edit-{key['id']}")
        edit.locator("summary").click()
        edit.get_by_label("Another key").fill(KEYS["openai"])
        edit.get_by_role("button", name=re.compile("^Replace")).click()
        expect(page.locator("#keys .badge.pass")).to_have_count(1)
        edit.get_by_label("Name").fill("night")
        edit.get_by_role("button", name=re.compile("^Rename")).click()
        expect(page.locator("#keys h3")).to_contain_text("night")

        page.get_by_label("Supervisor", exact=True).select_option("openai/gpt-4o")
        site.api.ask("PATCH", f"/api/keys/{key['id']}", {"key": BAD})  # somebody revoked it meanwhile
        page.get_by_label("Target model").select_option("HelixTiny")
        page.get_by_label("Epochs", exact=True).fill("1")
        page.get_by_role("button", name="Start", exact=True).click()
        expect(page.locator("#form-problem")).to_contain_text("OpenAI, the key night: ")
        expect(page.locator("#form-problem")).to_contain_text("Incorrect API key provided")
        page.locator("#without_provider").check()
        page.get_by_role("button", name="Start", exact=True).click()
        session = site.api.session(started(page))
        assert session["provider"] == session["model"] == ""
        site.api.ask("POST", f"/api/training/cancel/{session['id']}")

        page.locator("#caps > summary").click()
        page.locator("#cap-all").fill("25")
        page.locator("#cap-token").fill("wrong")
        page.locator("#set-caps").click()
        expect(page.locator("#costs .alert")).to_contain_text("enter the token of this server again")
        assert site.api.get("/api/costs")["caps_usd"]["all"] == 20
        page.locator("#cap-token").fill(site.api.token)
        page.locator("#set-caps").click()
        expect(page.locator("#costs")).to_contain_text("of $25.00")

        page.locator(f"#remove-{key['id']}").click()
        expect(page.locator("#keys")).to_contain_text("Removed: openai night")
        assert site.api.get("/api/keys/list") == []


@pytest.mark.system
def test_the_parts_for_providers_can_be_used_by_everybody(site: Site) -> None:
    with visit(site.browser, site.api.url) as page:
        page.goto(site.link)
        add_key(page, "claude", KEYS["claude"])
        page.locator("#caps > summary").click()
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            assert not (found := unusable(page)), (scheme, found)
        page.set_viewport_size({"width": 400, "height": 800})
        page.locator("#keys details summary").first.click()
        assert page.evaluate("document.scrollingElement.scrollWidth") <= 400
    with visit(site.browser, site.api.url, java_script_enabled=False) as page:
        page.goto(site.link)
        add_key(page, "xai", KEYS["xai"])
        expect(page).to_have_url(re.compile("/center#keys-section$"))
        page.get_by_label("Supervisor", exact=True).select_option(f"xai/{MODELS['xai']}")
        page.get_by_role("button", name="Estimate").click()
        expect(page.locator("#estimate")).to_contain_text("the cap of a session is $")
        for found in site.api.get("/api/keys/list"):
            page.locator(f"#remove-{found['id']}").click()
        expect(page.locator("#keys")).to_contain_text("No key is stored")
