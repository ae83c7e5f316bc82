"""200 clients of the Training Center's WebSocket for a minute, one of which never reads: does anybody wait?

    make bench ARGS=center_clients

A session is moved in the queue again and again. The time of a change is that until each client that reads has it; the
Center reads the sessions every half second.
"""

import logging
import statistics
import tempfile
from pathlib import Path

from rich.console import Console

from hlx_assets.center.feed import SECONDS as READING
from tests.support.center_clients import CLIENTS, SECONDS, loaded
from tests.support.dagster_home import make_home, opened


def main() -> None:
    """Print how long changes took, and how the memory of the Center grew."""
    logging.disable(logging.INFO)
    with tempfile.TemporaryDirectory(prefix="center-clients-") as folder:
        make_home(Path(folder) / "home")
        with opened(Path(folder) / "home") as home:
            found = loaded(home)
    Console(soft_wrap=True, highlight=False).print(
        f"{CLIENTS} clients for {SECONDS:.0f} s: {len(found.waits)} changes, each known to all after "
        f"{statistics.median(found.waits):.2f} s (median), at most {max(found.waits):.2f} s; sessions are read every "
        f"{READING} s; memory grew by {found.grown / 1e6:.1f} MB to {found.memory / 1e6:.0f} MB"
    )


if __name__ == "__main__":
    main()
