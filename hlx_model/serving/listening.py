"""A server's port, which never moves by itself: clients send texts and secrets to it."""

import errno
import socket


def listen(host: str, port: int, advice: str) -> socket.socket:
    """Return a socket that listens on an address and a port.

    Args:
        host: the address.
        port: the port.
        advice: what sets another port, for the error.

    Raises:
        ValueError: another program has the port, or this machine cannot listen there.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=1024)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise ValueError(f"port {port} is in use: free it, or set {advice}") from None
        reason = (error.strerror or str(error)).partition(" (while")[0]
        raise ValueError(f"cannot listen on {host}, port {port} ({reason}): name another address or port") from None
