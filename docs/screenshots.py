"""Take the pictures of the documents in headless Chromium, of a real instance: `make screenshots`.

    python -m docs.screenshots dagster_home/artifacts/reports/…/report.html    # only that of a report's page
    python -m docs.screenshots center                                          # only those of the Training Center

It has its own homes, a small curriculum, a training in progress, one that stalls until the watchdog stops it, and a
queue of sessions. It needs Chromium (`apt-get install chromium`), and eight minutes on two cores.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from hlx_assets.ui import GRAPH
from tests.support.browser import chromium, visit
from tests.support.dagster_home import SETTINGS, Home, make_home, opened
from tests.support.live_center import make_ui_with_center
from tests.support.live_dagster import Ui, make_ui, running_training, start_phase1
from tests.support.waiting import wait_for

IMAGES = Path(__file__).parent / "images"
ENVIRONMENT = {"HLX_WATCHDOG_SECONDS": "5", "HLX_STALL_SECONDS": "30", "HLX_SAVE_SECONDS": "0"}
CHROMIUM = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), ""
)
OPTIONS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-component-update",
    "--disable-background-networking", "--disable-sync", "--hide-scrollbars", "--virtual-time-budget=25000",
)  # fmt: skip


def shot(ui: Ui, name: str, page: str, *, width: int = 1600, height: int = 1000) -> None:
    """Take a picture of a page of the UI after it has loaded."""
    picture(name, ui.url.removesuffix("/graphql") + page, width, height)


def picture(name: str, address: str, width: int, height: int) -> None:
    """Take a picture of the page at an address after it has loaded."""
    with tempfile.TemporaryDirectory() as profile:
        subprocess.run(
            [CHROMIUM, *OPTIONS, f"--user-data-dir={profile}", f"--window-size={width},{height}",
             f"--screenshot={IMAGES / name}", address],
            check=True, capture_output=True, timeout=180,
        )  # fmt: skip
    sys.stderr.write(f"docs/images/{name}: {address}\n")


def center(folder: Path) -> None:
    """Take the pictures of the Training Center, of a queue in a home of its own."""
    make_home(folder / "home")
    tiny = {"targetModel": "HelixTiny"}
    with (
        opened(folder / "home") as home,
        make_ui_with_center(home, {"HLX_CORPUS": str(home.path / "small.md")}) as (_, api),
        chromium(CHROMIUM) as browser,
    ):
        first = api.start("English", **tiny, epochs=40, settings={"batch_size": 2})
        second = api.start("English", **tiny, epochs=60, settings={"batch_size": 4, "lr": 0.003})
        failed = api.start("English", **tiny, epochs=1, settings={"seed": 5})
        withdrawn = api.start("HLX", **tiny, epochs=1, after=failed)
        api.wait_for_state(withdrawn, "withdrawn")
        running = api.start("HLX", **tiny, epochs=200, settings={"batch_size": 2})
        third = api.start("Translation", **tiny, epochs=8, after=running)
        api.start("Curriculum", **tiny, profile="quick", after=third)
        api.wait(running, lambda session: (session["epoch"] or 0) > 60)
        pages = {
            "center.png": ("/center", 1280, 1400, "light"),
            "center-session.png": (f"/center/sessions/{running}", 1280, 1000, "light"),
            "center-compare.png": (f"/center/compare?ids={first},{second}", 1280, 900, "light"),
            "center-400.png": ("/center", 400, 1600, "dark"),
        }
        for name, (address, width, height, scheme) in pages.items():
            options = {"viewport": {"width": width, "height": height}, "color_scheme": scheme}
            with visit(browser, api.url, **options) as page:
                page.goto(address)
                page.locator(".curve canvas").wait_for()
                if width < 600:  # past the keys and models
                    page.evaluate("document.getElementById('queue-section').scrollIntoView({behavior: 'instant'})")
                page.wait_for_timeout(1000)  # the curve is drawn
                page.screenshot(path=IMAGES / name)
            sys.stderr.write(f"docs/images/{name}: {address}\n")


def main() -> None:
    """Take all pictures, or that of a report's page, or those of the Training Center."""
    if not CHROMIUM:
        sys.exit("error: Chromium is missing: apt-get install chromium")
    with tempfile.TemporaryDirectory() as folder:
        if sys.argv[1:] in ([], ["center"]):
            center(Path(folder))
    if sys.argv[1:] == ["center"]:
        return
    if len(sys.argv) > 1:
        picture("report-page.png", Path(sys.argv[1]).resolve().as_uri(), 1200, 1250)
        return
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder) / "home")
        make_home(home.path)
        os.environ["DAGSTER_HOME"] = str(home.path)
        with make_ui(home, ENVIRONMENT) as ui:
            document = {"corpus_document": {"corpus": str(home.path / "small.md")}}
            ui.launch("curriculum", {**SETTINGS, **document})
            shot(ui, "graph.png", GRAPH, width=2400, height=1600)
            run_id = start_phase1(ui, seed=1)
            beat = running_training(home, run_id)
            wait_for(lambda: running_training(home, run_id).step > 400, "for a curve")
            shot(ui, "run-in-training.png", f"/runs/{run_id}")
            shot(ui, "checkpoint.png", "/assets/phase1_checkpoint?view=overview", height=1400)
            os.kill(beat.pid, signal.SIGSTOP)
            ui.ended(run_id)
            shot(ui, "run-stopped.png", f"/runs/{run_id}?logs=watchdog", height=700)


if __name__ == "__main__":
    main()
