"""`make ui`: Dagster's UI, daemon and code location, on a free loopback port."""

import os
import socket
import sys

import dagster as dg


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


if __name__ == "__main__":
    # The processes of `dagster dev` must not all be the first to open an empty home.
    with dg.DagsterInstance.get():
        pass
    port = free_port()
    sys.stderr.write(f"the graph: http://127.0.0.1:{port}\n")
    os.execv(
        sys.executable,
        [sys.executable, "-m", "dagster", "dev", "-h", "127.0.0.1", "-p", str(port), *sys.argv[1:]],
    )
