"""`make ui`: the code server, the guarded webserver, the daemon and the Training Center of one home.

The webserver takes a free loopback port; the Training Center has one port (`HLX_CENTER_PORT`) or is not started.
Ctrl-C, SIGTERM and SIGHUP end all four, and the runs that are in progress: a training writes a checkpoint first. If
one of the first three ends by itself, the others end too: without its daemon a UI would show trainings that nobody
watches. Runs then continue, and the next `make ui` finds them. Without the Training Center the rest continues: the
queue is Dagster's.
"""

import argparse
import fcntl
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import IO

import yaml

from hlx_assets.center.packages import require_packages
from hlx_assets.common import GROUPS, exit_with_one_line
from hlx_assets.corpus.setting import apply_environment
from hlx_assets.dagster_internals import CODE_LOCATION, DAEMON
from hlx_assets.home import open_home
from hlx_assets.settings import CENTER_PORT, TRAINER, UI_URL, DagsterEnvironment
from hlx_assets.watchdog.runs import GONE, close_dead_runs, socket_folder
from hlx_model.files import lock as take_lock
from hlx_model.runs.processes import die_with_parent
from hlx_model.serving.guard import GuardSettings
from hlx_model.serving.listening import listen

CODE_LOG = "code-server.log"
"""In the home: what the code server and its runs print, a line for each event. The UI shows them better."""
CENTER = "Training Center"
LOCATION = {"module-name": "hlx_assets.definitions", "location-name": CODE_LOCATION}
GRAPH = "/asset-groups/?expanded=" + ",".join(f"global@global:{group}" for group in GROUPS)
"""The page of the whole graph, with its groups open."""
START_SECONDS = 120.0
"""Seconds for the code server to load the definitions."""
END_SECONDS = 60.0
"""Seconds for the parts and their runs to end; then, or after a second signal, SIGKILL."""
POLL_SECONDS = 0.2

Parts = dict[str, "subprocess.Popen[bytes]"]


def free_port(wanted: int = 3000, host: str = "127.0.0.1") -> int:
    """Return `wanted` if it is free on `host`, else a port that the system picks."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for port in (wanted, 0):
        with suppress(OSError), socket.create_server((host, port), family=family) as probe:
            return int(probe.getsockname()[1])
    raise OSError(f"no free port on {host}")


def home_lock(home: Path) -> int:
    """Take a home's lock and return its descriptor; end this process if another one has it.

    Two daemons on one home would do everything twice.
    """
    lock = os.open(home / ".ui.lock", os.O_RDWR | os.O_CREAT, 0o666)
    try:
        take_lock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB, home)
    except BlockingIOError:
        sys.exit(f"error: another `make ui` runs on {home}: stop it, or set DAGSTER_HOME to another folder")
    return lock


def run(host: str, port: int, lock: int) -> str | None:
    """Run the parts until a signal comes or one of them ends; without the Training Center the others continue.

    The daemon has the home's `lock` too: it may still be ending after this process was killed.

    Returns:
        Which part ended by itself and how; None after a signal.
    """
    received: list[int] = []

    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signum != signal.SIGHUP or signal.getsignal(signum) != signal.SIG_IGN:  # as under nohup
            signal.signal(signum, lambda signum, frame: received.append(signum))
    with tempfile.TemporaryDirectory(prefix=socket_folder()) as folder, _ending(received) as parts:
        code, workspace = Path(folder) / "code.sock", Path(folder) / "workspace.yaml"
        server = {"socket": str(code), "location_name": LOCATION["location-name"]}
        workspace.write_text(yaml.safe_dump({"load_from": [{"grpc_server": server}]}), encoding="utf-8")
        arguments = [f"--{name}={value}" for name, value in LOCATION.items()]
        arguments += [f"--socket={code}", "--use-python-environment-entry-point", "--log-level=warning"]
        with Path(CODE_LOG).open("wb") as log:
            _start(parts, "code server", "dagster", "code-server", "start", *arguments, output=log)
        deadline = time.monotonic() + START_SECONDS
        while not received and not (ended := _ended(parts)) and not _answers(str(code)):
            time.sleep(POLL_SECONDS)
            if time.monotonic() > deadline:
                return f"the code server did not answer within {START_SECONDS:.0f} seconds (see {CODE_LOG})"
        if not received and not ended:
            place = f"--workspace={workspace}"
            _start(parts, "webserver", "hlx_assets.webserver", place, f"--host={host}", f"--port={port}")
            _start(parts, "daemon", DAEMON, "run", place, "--log-level=warning", lock=lock)
            _start_center(parts, place, host, port)
        announced = False
        while not received and not (ended := _ended(parts)):
            if not announced and (announced := _answers((host, port))):
                sys.stderr.write(GuardSettings.from_environment().announcement("the graph", host, port, GRAPH))
            if CENTER in parts and (how := _end_of(parts[CENTER])):
                parts.pop(CENTER)
                sys.stderr.write(f"the {CENTER} {how}; the rest continues, and `make center` starts it again\n")
            time.sleep(POLL_SECONDS)
        return None if received else ended


def _start(
    parts: Parts, name: str, module: str, *arguments: str, lock: int | None = None, output: IO[bytes] | None = None
) -> None:  # fmt: skip
    parts[name] = subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        # A group of its own: a signal of the terminal reaches only this process, which passes it on.
        process_group=0,
        # If this process is killed, the kernel ends its parts.
        preexec_fn=partial(die_with_parent, signal.SIGTERM),
        pass_fds=() if lock is None else (lock,),
        stdout=output,
        stderr=output,
    )


def _start_center(parts: Parts, workspace: str, host: str, ui_port: int) -> None:
    """Start the Training Center; if it cannot be, say why in one line."""
    settings, environment = GuardSettings.from_environment(), DagsterEnvironment.read(CENTER_PORT, UI_URL)
    try:
        require_packages()
        # The webserver may not listen yet.
        if environment.center_port == ui_port:
            raise ValueError(f"port {ui_port} is that of the UI: set {CENTER_PORT}")
        listen(host, environment.center_port, CENTER_PORT).close()
    except ValueError as error:
        sys.stderr.write(f"the {CENTER} is not started: {error} (if `make center` has it, that one serves this home)\n")
        return
    arguments = [workspace, f"--host={host}", f"--port={environment.center_port}"]
    if environment.ui_url is None and not settings.behind_proxy:
        arguments.append(f"--ui-url={settings.address(host, ui_port)}")
    _start(parts, CENTER, "hlx_assets.center", *arguments)


def _ended(parts: Mapping[str, "subprocess.Popen[bytes]"]) -> str | None:
    """Return which part has ended that the others need, and how."""
    for name, process in parts.items():
        if name != CENTER and (how := _end_of(process)):
            return f"the {name} {how}{f' (see {Path.cwd() / CODE_LOG})' if name == 'code server' else ''}"
    return None


def _end_of(process: "subprocess.Popen[bytes]") -> str | None:
    """Return how a part has ended; None if it has not."""
    if (code := process.poll()) is None:
        return None
    return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"


def _answers(address: str | tuple[str, int]) -> bool:
    """Whether a server accepts connections at a Unix socket, or at a host and port."""
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    with socket.socket(family) as probe:
        probe.settimeout(1)
        return probe.connect_ex(address) == 0


@contextmanager
def _ending(received: list[int]) -> Iterator[Parts]:
    """Yield the parts, which the block starts, and end them after it; after a signal their runs too."""
    parts: Parts = {}
    try:
        yield parts
    finally:
        for process in parts.values():
            with suppress(ProcessLookupError):
                if received:
                    os.killpg(process.pid, signal.SIGINT)
                else:
                    process.terminate()
        deadline = time.monotonic() + END_SECONDS
        while time.monotonic() < deadline and len(received) < 2 and _remaining(parts, runs=bool(received)):
            time.sleep(POLL_SECONDS)
        for process in _remaining(parts, runs=bool(received)):
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _remaining(parts: Parts, *, runs: bool) -> list["subprocess.Popen[bytes]"]:
    """Return the parts that have not ended; with `runs` also those whose runs have not."""
    return [process for process in parts.values() if process.poll() is None or (runs and _group_exists(process.pid))]


def _group_exists(leader: int) -> bool:
    with suppress(ProcessLookupError):
        os.killpg(leader, 0)
        return True
    return False


def main() -> None:
    """Check settings, address, home and port, then run the UI."""
    description = "Start the Dagster UI, its daemon and the Training Center."
    parser = argparse.ArgumentParser(prog="make ui", description=description, add_help=False)
    parser.add_argument("--help", action="help", help="show this text")
    parser.add_argument("-h", "--host", default="127.0.0.1", help="address to listen on (127.0.0.1)")
    parser.add_argument("-p", "--port", type=int, help="port to listen on (3000, or a free one)")
    arguments = parser.parse_args()
    if arguments.port is not None and not 0 < arguments.port < 2**16:
        parser.error(f"--port is {arguments.port}: it must be from 1 to 65535")
    with exit_with_one_line():
        GuardSettings.from_environment().listening_on(arguments.host)
        DagsterEnvironment.read(TRAINER).trainer.require()
    with exit_with_one_line(": name an address of this machine with -h"):
        port = free_port(arguments.port or 3000, arguments.host)
    if arguments.port not in (None, port):
        sys.exit(f"error: port {arguments.port} is in use: name another, or leave -p out")
    # The parts must not all be the first to open an empty home.
    with open_home() as instance, exit_with_one_line():
        if changed := apply_environment(instance):
            sys.stderr.write(f"{changed}\n")
        # The parts run in the home: Dagster lets a `.env` of the current directory override DAGSTER_HOME.
        home = Path(os.environ["DAGSTER_HOME"])
        os.chdir(home)
        lock = home_lock(home)
        for run_id in close_dead_runs(instance):
            sys.stderr.write(f"closed run {run_id[:8]}: {GONE}\n")
    if ended := run(arguments.host, port, lock):
        sys.exit(f"error: {ended}, and `make ui` has ended the rest: start it again")


if __name__ == "__main__":
    main()
