"""Take the pictures of the documents in headless Chromium, of a real instance: `make screenshots`.

    python -m docs.screenshots dagster_home/artifacts/reports/…/report.html    # only that of a report's page

It has its own home, a small curriculum, a training in progress, and one that stalls until the watchdog stops it. It
needs Chromium (`apt-get install chromium`), and five minutes on two cores.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from hlx_assets.ui import GRAPH
from tests.support.dagster_home import SETTINGS, Home, make_home
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


def main() -> None:
    """Take all pictures, or that of a report's page."""
    if not CHROMIUM:
        sys.exit("error: Chromium is missing: apt-get install chromium")
    if len(sys.argv) > 1:
        picture("report-page.png", Path(sys.argv[1]).resolve().as_uri(), 1200, 2600)
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
