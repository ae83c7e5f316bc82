"""What the Training Center needs to start: its packages, and its port, which never moves by itself.

Clients send secrets to that port. `make ui` reads this module before it starts the Center; it needs no extra.
"""

import errno
import socket
from importlib.util import find_spec

from hlx_assets.settings import CENTER_PORT

_PACKAGE = "fastapi"


def require_packages() -> None:
    """Require that the extra `center` is installed; `ValueError` says how to install it."""
    if find_spec(_PACKAGE) is None:
        advice = "pip install -c constraints.txt -e '.[assets,center]'"
        raise ValueError(f"the Training Center needs {_PACKAGE}: {advice}")


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens on an address and a port.

    Raises:
        ValueError: another program has the port, or this machine cannot listen there.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise ValueError(f"port {port} is in use: free it, or set {CENTER_PORT}") from None
        reason = (error.strerror or str(error)).partition(" (while")[0]
        raise ValueError(f"cannot listen on {host}, port {port} ({reason}): name another with -h and -p") from None
