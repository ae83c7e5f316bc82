"""`make ui`: Dagster's UI, daemon and code location, on a free loopback port."""

import argparse
import fcntl
import os
import signal
import socket
import sys
from pathlib import Path

from hlx_assets.storage import opened_instance
from hlx_model.corpus.documents import named_documents


def free_port(wanted: int = 3000) -> int:
    """`wanted` where it is free on the loopback interface, else one that the system picks."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise OSError("no free port on 127.0.0.1")


def command(port: int, *more: str) -> list[str]:
    """`dagster dev` for this project, whatever the current directory."""
    workspace = Path(__file__).parents[1] / "workspace.yaml"
    return [sys.executable, "-m", "dagster", "dev", "-w", str(workspace), "-h", "127.0.0.1", "-p", str(port), *more]


def only_one(home: Path) -> None:
    """Hold a home's lock as long as this process is there, whatever it becomes; end where another holds it.

    Two daemons on one home would do everything twice.
    """
    lock = os.open(home / ".ui.lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        sys.exit(f"error: another `make ui` is at work on {home}: stop it, or set DAGSTER_HOME to another folder")
    os.set_inheritable(lock, True)


if __name__ == "__main__":
    # Started from a script in the background, a process may have been told to ignore Ctrl-C: then nothing stops it.
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, signal.SIG_DFL)
    # The processes of `dagster dev` must not all be the first to open an empty home.
    with opened_instance():
        pass
    # Dagster reads `.env` of the current directory over the environment; DAGSTER_HOME is to be what the caller said.
    if corpus := named_documents(os.environ.get("HLX_CORPUS")):
        os.environ["HLX_CORPUS"] = os.pathsep.join(str(path.absolute()) for path in corpus)
    home = Path(os.environ["DAGSTER_HOME"])
    os.chdir(home)
    parser = argparse.ArgumentParser(prog="make ui", add_help=False)  # the rest is for `dagster dev`
    parser.add_argument("-p", "--port", type=int)
    arguments, more = parser.parse_known_args()
    port = free_port(arguments.port or 3000)
    if arguments.port not in (None, port):
        sys.exit(f"error: port {arguments.port} is in use: name another, or leave -p out")
    only_one(home)
    sys.stderr.write(f"the graph: http://127.0.0.1:{port}\n")
    os.execv(sys.executable, command(port, *more))
