"""The Training Center behind the request guard: `python -m hlx_assets.center`.

`make ui` starts it beside Dagster's UI, `make center` alone. It queues runs; the daemon of `make ui` starts them.
"""

import argparse
import logging
import os
import re
import signal
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import uvicorn

from hlx_assets.center.context import Center
from hlx_assets.center.packages import require_packages
from hlx_assets.common import exit_with_one_line
from hlx_assets.dagster_internals import launcher
from hlx_assets.home import home_directory, open_home, shipped_file
from hlx_assets.settings import CENTER_PORT, UI_URL, DagsterEnvironment
from hlx_model.serving.cors import shared_with
from hlx_model.serving.guard import PARAMETER, GuardSettings, RequestGuard
from hlx_model.serving.listening import listen

GRACE_SECONDS = 5
"""Seconds that open connections have when the server ends."""
UI = "http://127.0.0.1:3000"
HEALTH = "/api/health"
"""Says whether the Center works, and no more: it needs no token."""
JSON_PATHS = "/api/"


def ui_address(given: str | None, *, behind_proxy: bool) -> str:
    """Return the address of Dagster's UI, without a slash at its end; empty if it has the Center's own.

    Args:
        given: on the command line; without one it is `HLX_UI_URL`, else that of `make ui`.
        behind_proxy: a proxy serves both.

    Raises:
        ValueError: it is no address.
    """
    if given and not re.match("https?://", given):
        raise ValueError(f"--ui-url is {given!r}: it must be an address, such as {UI}")
    if given is None:
        given = DagsterEnvironment.read(UI_URL).ui_url or ("" if behind_proxy else UI)
    return given.rstrip("/")


def serve(workspace: Path | None, host: str, port: int, ui_url: str | None) -> None:
    """Serve the Training Center until a signal ends the process.

    Args:
        workspace: a workspace file of Dagster; None for that of hlx, whose code server this process then starts.
        host: address to listen on.
        port: port to listen on.
        ui_url: address of Dagster's UI, as on the command line.

    Raises:
        ValueError: the port is in use, a setting is wrong, or strangers could reach the server.
    """
    settings = GuardSettings.from_environment(other_origins=True).listening_on(host)
    address = ui_address(ui_url, behind_proxy=settings.behind_proxy)
    place = (workspace or shipped_file("workspace.yaml", "workspace.yaml")).absolute()
    with listen(host, port, CENTER_PORT) as listener, open_home(report=workspace is None) as instance:
        from hlx_assets.center.app import create_app
        from hlx_assets.center.token import own_token, required_by

        home = home_directory()
        # Dagster lets a `.env` of the current directory override DAGSTER_HOME for the code server.
        os.chdir(home)
        with launcher(instance, place) as launch:
            sys.stderr.write(settings.announcement("the Training Center", host, port, "/center"))
            given, own = settings.token, required_by(home)
            if given is None:
                settings = replace(settings, token=own_token())
                proxy = f"https://{min(settings.sites, default='localhost')}" if settings.behind_proxy else ""
                link = f"{proxy or settings.address(host, port)}/center?{PARAMETER}={settings.token}"
                when = "log in" if own() else "once a paid key is stored, log in"
                sys.stderr.write(f"{when} with this link: {link}\n")
            app = create_app(Center(instance, home, launch, address, settings.token))
            guarded = RequestGuard(
                app, settings, forms=True, open_paths=(HEALTH,), required=lambda: given is not None or own(),
                json_paths=JSON_PATHS,
            )  # fmt: skip
            config = uvicorn.Config(
                shared_with(settings.origins, guarded), log_level="warning", timeout_graceful_shutdown=GRACE_SECONDS
            )
            uvicorn.Server(config).run(sockets=[listener])


def main() -> None:
    """Serve the Training Center that the command line describes."""
    parser = argparse.ArgumentParser(prog="python -m hlx_assets.center", description=__doc__, add_help=False)
    parser.add_argument("--help", action="help", help="show this text")
    parser.add_argument("-w", "--workspace", type=Path, help="a workspace file of Dagster")
    parser.add_argument("-h", "--host", default="127.0.0.1", help="address to listen on (127.0.0.1)")
    parser.add_argument("-p", "--port", type=int, help=f"port to listen on ({CENTER_PORT}, else 5000)")
    parser.add_argument("--ui-url", help=f"address of Dagster's UI ({UI_URL}, else {UI})")
    arguments = parser.parse_args()
    if arguments.port is not None and not 0 < arguments.port < 2**16:
        parser.error(f"--port is {arguments.port}: it must be from 1 to 65535")
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    # A signal ends the code server of this process too. Uvicorn passes the signal on when it has ended.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with suppress(KeyboardInterrupt), exit_with_one_line():
        require_packages()
        port = arguments.port or DagsterEnvironment.read(CENTER_PORT).center_port
        serve(arguments.workspace, arguments.host, port, arguments.ui_url)


if __name__ == "__main__":
    main()
