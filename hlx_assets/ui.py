"""`make ui`: the code server, the guarded webserver and the daemon of one home, on a free loopback port.

Ctrl-C, SIGTERM and SIGHUP end all three, and the runs that are in progress: a training writes a checkpoint first. If
one of the three ends by itself, the others end too: without its daemon a UI would show trainings that nobody watches.
Runs then continue, and the next `make ui` finds them.
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

from hlx_assets.common import GROUPS, exit_with_one_line
from hlx_assets.corpus.setting import apply_environment
from hlx_assets.dagster_internals import DAEMON
from hlx_assets.home import open_home
from hlx_model.files import lock as take_lock
from hlx_model.runs.processes import die_with_parent
from hlx_model.serving.guard import TOKEN, GuardSettings

CODE_LOG = "code-server.log"
"""In the home: what the code server and its runs print, a line for each event. The UI shows them better."""
LOCATION = {"module-name": "hlx_assets.definitions", "location-name": "hlx"}
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
    """Run the three parts until a signal comes or one of them ends.

    The daemon has the home's `lock` too: it may still be ending after this process was killed.

    Returns:
        Which part ended by itself and how; None after a signal.
    """
    received: list[int] = []

    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signum != signal.SIGHUP or signal.getsignal(signum) != signal.SIG_IGN:  # as under nohup
            signal.signal(signum, lambda signum, frame: received.append(signum))
    with tempfile.TemporaryDirectory(prefix="hlx-ui-") as folder, _ending(received) as parts:
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
        announced = False
        while not received and not (ended := _ended(parts)):
            if not announced and (announced := _answers((host, port))):
                _announce(host, port)
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


def _ended(parts: Mapping[str, "subprocess.Popen[bytes]"]) -> str | None:
    """Return which part has ended, and how."""
    for name, process in parts.items():
        if (code := process.poll()) is not None:
            how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
            return f"the {name} {how}{f' (see {Path.cwd() / CODE_LOG})' if name == 'code server' else ''}"
    return None


def _answers(address: str | tuple[str, int]) -> bool:
    """Whether a server accepts connections at a Unix socket, or at a host and port."""
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    with socket.socket(family) as probe:
        probe.settimeout(1)
        return probe.connect_ex(address) == 0


def _announce(host: str, port: int) -> None:
    settings = GuardSettings.from_environment()
    # A browser cannot open a wildcard.
    named = next(iter(sorted(settings.sites)), "127.0.0.1") if host in ("0.0.0.0", "::") else host
    host = f"[{named}]" if ":" in named and not named.startswith("[") else named
    address = f"http://{host}:{port}"
    if settings.token:
        sys.stderr.write(f"log in first: {address}/?token=… (the value of {TOKEN})\n")
    sys.stderr.write(f"the graph: {address}{GRAPH}\n")


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
    parser = argparse.ArgumentParser(prog="make ui", description="Start the Dagster UI and its daemon.", add_help=False)
    parser.add_argument("--help", action="help", help="show this text")
    parser.add_argument("-h", "--host", default="127.0.0.1", help="address to listen on (127.0.0.1)")
    parser.add_argument("-p", "--port", type=int, help="port to listen on (3000, or a free one)")
    arguments = parser.parse_args()
    if arguments.port is not None and not 0 < arguments.port < 2**16:
        parser.error(f"--port is {arguments.port}: it must be from 1 to 65535")
    with exit_with_one_line():
        GuardSettings.from_environment().listening_on(arguments.host)
    # The parts must not all be the first to open an empty home.
    with open_home() as instance, exit_with_one_line():
        if changed := apply_environment(instance):
            sys.stderr.write(f"{changed}\n")
    # The parts run in the home: Dagster lets a `.env` of the current directory override DAGSTER_HOME.
    home = Path(os.environ["DAGSTER_HOME"])
    os.chdir(home)
    with exit_with_one_line(": name an address of this machine with -h"):
        port = free_port(arguments.port or 3000, arguments.host)
    if arguments.port not in (None, port):
        sys.exit(f"error: port {arguments.port} is in use: name another, or leave -p out")
    with exit_with_one_line():
        lock = home_lock(home)
    if ended := run(arguments.host, port, lock):
        sys.exit(f"error: {ended}, and `make ui` has ended the rest: start it again")


if __name__ == "__main__":
    main()
