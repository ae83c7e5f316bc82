"""The Training Center in a real browser: by mouse, by keyboard, and without JavaScript; live, and the same to all."""

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from hlx_model.layout import CHECKPOINTS
from tests.support.browser import chromium, unusable, visit
from tests.support.dagster_home import Home, Run, opened
from tests.support.live_center import Api, make_ui_with_center
from tests.support.programs import program

LONG = {"batch_size": 1, "gate_every": 1}
"""Settings with which 500 epochs of the tiny model take minutes: each is evaluated."""
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
CURVE = "#live .curve canvas"
DRAWN = r"training loss [\d.]+ at step (\d+)"
"""The description of a curve for a screen reader."""


@dataclass
class Site:
    """A live Center in a home in which a curriculum was trained, and a browser."""

    home: Home
    api: Api
    browser: Browser

    def start(self, **request: Any) -> str:
        """Queue a session of the tiny model; its id."""
        return self.api.start("English", targetModel="HelixTiny", **request)

    def trained(self, session_id: str) -> dict[str, Any]:
        """Wait until a session has made steps, and a checkpoint to resume from."""
        return self.api.wait(session_id, lambda found: (found["step"] or 0) > 5 and bool(self.checkpoints(found)))

    def checkpoints(self, session: dict[str, Any]) -> list[Path]:
        """The last checkpoints of a session's trainings."""
        return [found for folder in self.trainings(session) for found in (folder / CHECKPOINTS).glob("*_LAST_*")]

    def log(self, session: dict[str, Any]) -> str:
        """What its last training has logged."""
        return (self.trainings(session)[-1] / "training.log").read_text(encoding="utf-8")

    def trainings(self, session: dict[str, Any]) -> list[Path]:
        """The directories of a session's trainings."""
        return [self.home.path / "artifacts" / "training" / one for one in session["trainings"]]

    def live(self) -> list[str]:
        """The sessions that run and wait, in their order."""
        return [one["id"] for one in self.api.get("/api/training/queue?ended=0")]

    def two_ended(self) -> list[str]:
        """Two sessions that have ended, each with a training of its own; what is missing of them is trained."""
        past = [row["session"] for row in self.api.get("/api/training/history")]
        by_training = {one["trainings"][-1]: one["id"] for one in past if one["trainings"]}
        for seed in range(10, 12 - len(by_training)):
            one = self.api.wait_for_state(self.start(epochs=1, settings={"seed": seed}), "quality_failed")
            by_training[one["trainings"][-1]] = one["id"]
        return list(by_training.values())[:2]


@pytest.fixture(scope="session")
def executable() -> str:
    return program("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="module")
def shared(executable: str, curriculum: tuple[Path, Run], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    path = tmp_path_factory.mktemp("browser") / "home"
    shutil.copytree(curriculum[0], path)
    with (
        opened(path) as home,
        make_ui_with_center(home, {"HLX_SAVE_SECONDS": "0"}) as (_, api),
        chromium(executable) as browser,
    ):
        yield Site(home, api, browser)


@pytest.fixture
def site(shared: Site) -> Iterator[Site]:
    """The Center; at the end nothing runs or waits there."""
    yield shared
    for one in reversed(shared.live()):
        shared.api.ask("POST", f"/api/training/cancel/{one}")
        shared.api.wait(one, lambda found: found["status"] in ("completed", "failed"))


def fill(page: Page, epochs: int, **more: int) -> None:
    """Fill the form of a new session of phase 1, with more settings by their names."""
    page.get_by_label("Target model").select_option("HelixTiny")
    page.get_by_label("Epochs", exact=True).fill(str(epochs))
    while more and not page.locator("#seed").is_visible():  # once open, it stays open
        page.get_by_text("More settings").click()
    for name, value in more.items():
        page.locator(f"#{name}").fill(str(value))


def started(page: Page, before: str = "none") -> str:
    """The id of the session that the form has started, as soon as it is another one than before."""
    link = page.locator(f"#new-session .started a:not([href$='{before}'])")
    expect(link).to_be_visible()
    return str(link.get_attribute("href")).rpartition("/")[2]


def row(page: Page, session_id: str) -> Locator:
    """A session in the queue."""
    return page.locator(f"#session-{session_id}")


def press(page: Page, session_id: str, name: str) -> None:
    """Press a button of a session in the queue."""
    row(page, session_id).get_by_role("button", name=re.compile(rf"^{name}\b")).click()


@contextmanager
def slow(page: Page) -> Iterator[None]:
    """Let every answer come half a second late."""
    connection = page.context.new_cdp_session(page)
    conditions = {"offline": False, "latency": 500, "downloadThroughput": -1, "uploadThroughput": -1}
    connection.send("Network.emulateNetworkConditions", conditions)
    yield
    connection.send("Network.emulateNetworkConditions", {**conditions, "latency": 0})


def refresh_queue(page: Page) -> None:
    """Ask for the queue as it is now, as the page does by itself when a session changes."""
    page.evaluate("htmx.trigger(document.getElementById('queue'), 'refresh')")


def tab_to(page: Page, selector: str) -> None:
    """Press Tab until the focus is there."""
    for _ in range(200):
        page.keyboard.press("Tab")
        if page.evaluate("selector => document.activeElement.matches(selector)", selector):
            return
    raise AssertionError(f"Tab never comes to {selector}")


def step_drawn(page: Page) -> int:
    """The last step on the curve, as soon as there is a curve."""
    curve = page.locator(CURVE)
    expect(curve).to_have_attribute("aria-label", re.compile(DRAWN))
    found = re.search(DRAWN, str(curve.get_attribute("aria-label")))
    assert found
    return int(found[1])


def watch(page: Page, after: int) -> int:
    """Wait until the curve that is drawn has grown beyond a step; the last step then."""
    before = page.locator(CURVE).evaluate("canvas => canvas.toDataURL()")
    page.wait_for_function(
        """([curve, drawn, after, before]) => {
            const canvas = document.querySelector(curve);
            const step = canvas?.getAttribute("aria-label")?.match(drawn)?.[1];
            return Number(step) > after && canvas.toDataURL() !== before;
        }""",
        arg=[CURVE, DRAWN, after, before],
    )
    return step_drawn(page)


@pytest.mark.system
def test_a_session_is_watched_canceled_and_resumed(site: Site) -> None:
    with visit(site.browser, site.api.url) as page:
        page.on("dialog", lambda dialog: dialog.accept())
        page.goto("/center")
        expect(page).to_have_title(re.compile("HLX Brain$"))
        fill(page, 500, **LONG, seed=1)
        page.get_by_role("button", name="Estimate").click()
        expect(page.locator("#estimate")).to_contain_text("English, tiny: 500 epochs")
        assert not site.live(), "an estimate starts nothing"
        page.get_by_role("button", name="Start", exact=True).click()
        first = started(page)
        expect(row(page, first)).to_contain_text("500 epochs")

        page.evaluate("window.isTheSame = true")
        shown = watch(page, step_drawn(page))
        expect(row(page, first)).to_contain_text("running")
        expect(page).to_have_title(re.compile(r"^▶ \d+% English tiny – HLX Brain$"))
        assert page.evaluate("window.isTheSame"), "the page was loaded again"
        page.reload()
        expect(row(page, first)).to_contain_text("running")
        expect(page).to_have_title(re.compile(r"^▶ \d+% English tiny – HLX Brain$"))
        assert step_drawn(page) >= shown

        press(page, first, "Cancel")
        expect(row(page, first)).to_contain_text("canceled: somebody cancelled the run")
        ended = site.api.session(first)
        assert (ended["status"], ended["state"]) == ("failed", "canceled") and site.checkpoints(ended)
        assert f"interrupted at step {ended['step']}: its checkpoint is written" in site.log(ended)
        expect(page.locator("#live")).to_contain_text("Nothing is running")

        press(page, first, "Resume")
        expect(page.locator(".session.running")).to_contain_text(f"resumes {first[:8]}")
        (second,) = site.live()
        fill(page, 1, seed=2)
        page.get_by_role("button", name="Start", exact=True).click()
        third = started(page)
        fill(page, 1, seed=3)
        page.get_by_role("button", name="Start", exact=True).click()
        fourth = started(page, before=third)
        expect(page.locator(".session.queued")).to_have_count(2)
        press(page, fourth, "Move up")
        expect(page.locator(".session.queued").first).to_have_id(f"session-{fourth}")
        assert site.live() == [second, fourth, third]
        with slow(page):  # neither a refresh under way nor the next one loses the click
            refresh_queue(page)
            press(page, third, "Remove")
            refresh_queue(page)
            expect(row(page, third)).to_have_count(0)
        assert site.live() == [second, fourth]

        assert watch(page, ended["step"]) > ended["step"] > 0
        assert "resuming from phase1_LAST" in site.log(site.api.session(second))
        press(page, second, "Cancel")
        expect(row(page, second)).to_contain_text("canceled")
        expect(row(page, fourth)).to_contain_text(re.compile("failed its gates: .*gate .* required"))
        expect(page).to_have_title("✗ English tiny – HLX Brain")


@pytest.mark.system
def test_what_has_ended_is_compared_tried_and_opened(site: Site) -> None:
    one, two = site.two_ended()
    with visit(site.browser, site.api.url) as page:
        page.goto("/center")
        for session_id in (one, two):
            page.locator(f"#pick-{session_id}").check()
        page.get_by_role("button", name="Compare").click()
        expect(page.locator(".compared li")).to_have_count(2)
        expect(page.locator(".curve canvas")).to_be_visible()
        for number in (1, 2):
            expect(page.get_by_text(f"{number}, phase 1, validation")).to_be_visible()
        losses = page.get_by_role("row", name="best_val_loss").get_by_role("cell")
        assert re.fullmatch(r"\d\.\d+ \d\.\d+", " ".join(losses.all_inner_texts()))
        expect(page.get_by_role("row", name="seed")).to_be_visible()

        phase3 = next(one for one in site.api.get("/api/checkpoints") if one["translates"])
        checkpoint = page.locator(f"#checkpoint-{phase3['id']}")
        page.goto("/center")
        checkpoint.get_by_text("Try a sentence").click()
        checkpoint.get_by_label("Text").fill("Search for users")
        checkpoint.get_by_label("Into").select_option("LC-R")
        checkpoint.get_by_role("button", name="Translate").click()
        answer = checkpoint.locator(".answer")
        expect(answer.locator("code").first).to_contain_text("search")
        for text in ("✓ parses", phase3["conclusion"], f"verdict {phase3['verdict']}"):
            expect(answer).to_contain_text(text)
        for link, text in {
            "report": "Phase 3: Translation", "model card": "# HLX Brain, tiny, phase 3",
            "lineage": "allowed to start from its parent",
        }.items():  # fmt: skip
            page.goto("/center")
            checkpoint.get_by_role("link", name=link).click()
            expect(page.locator("body")).to_contain_text(text)


@pytest.mark.system
def test_everybody_can_use_the_pages(site: Site) -> None:
    one, two = site.two_ended()
    running = site.start(epochs=500, settings={**LONG, "seed": 5})
    site.start(epochs=1, settings={"seed": 6})
    site.trained(running)
    addresses = ("/center", f"/center/sessions/{running}", f"/center/compare?ids={one},{two}")
    with visit(site.browser, site.api.url) as page:
        for address in addresses:
            page.goto(address)
            expect(page.locator(".curve canvas")).to_have_attribute("role", "img")
            if address == "/center":
                page.get_by_text("More settings").click()
                page.get_by_role("button", name="Estimate").click()
                expect(page.locator("#estimate")).to_be_visible()
            for scheme in SCHEMES:
                page.emulate_media(color_scheme=scheme)
                assert not (found := unusable(page)), (address, scheme, found)
    with visit(site.browser, site.api.url, viewport={"width": 400, "height": 800}) as page:
        for address in addresses:
            page.goto(address)
            expect(page.locator(".curve canvas")).to_have_attribute("role", "img")
            width = page.evaluate("document.scrollingElement.scrollWidth")
            assert width <= 400, (address, width)


@pytest.mark.system
def test_a_session_is_started_and_canceled_by_keyboard(site: Site) -> None:
    with visit(site.browser, site.api.url) as page:
        page.on("dialog", lambda dialog: dialog.accept())
        page.goto("/center")
        tab_to(page, "#targetModel")
        page.keyboard.type("HelixT")
        tab_to(page, "#epochs")
        page.keyboard.type("500")
        tab_to(page, "#more-settings > summary")
        page.keyboard.press("Enter")
        given = {"batch_size": 1, "seed": 7, "gate_every": 1}
        for name, value in given.items():
            tab_to(page, f"#{name}")
            page.keyboard.type(str(value))
        tab_to(page, "#start")
        page.keyboard.press("Enter")
        session_id = started(page)
        expect(row(page, session_id)).to_contain_text("training: phase 1")
        tab_to(page, f"#queue-cancel-{session_id}")
        page.keyboard.press("Enter")
        expect(row(page, session_id)).to_contain_text("canceled: somebody cancelled the run")
        page.wait_for_function("() => document.activeElement !== document.body")  # the focus stays with the row
        found = site.api.session(session_id)
        assert (found["targetModel"], found["settings"]) == ("HelixTiny", {"epochs": 500, **given})


@pytest.mark.system
def test_a_session_is_started_and_canceled_without_javascript(site: Site) -> None:
    with visit(site.browser, site.api.url, java_script_enabled=False) as page:
        page.goto("/center")
        fill(page, 500, **LONG, seed=8)
        page.get_by_role("button", name="Estimate").click()
        expect(page.locator("#estimate")).to_contain_text("English, tiny: 500 epochs")
        page.get_by_role("button", name="Start", exact=True).click()
        (session_id,) = site.live()
        expect(row(page, session_id)).to_be_visible()
        site.trained(session_id)
        page.reload()
        expect(row(page, session_id)).to_contain_text("running")
        press(page, session_id, "Cancel")
        site.api.wait_for_state(session_id, "canceled")
        page.reload()
        expect(row(page, session_id)).to_contain_text("canceled: somebody cancelled the run")
