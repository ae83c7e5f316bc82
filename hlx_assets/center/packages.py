"""What the Training Center needs to start. `make ui` reads this module before; it needs no extra."""

from importlib.util import find_spec

_PACKAGE = "fastapi"


def require_packages() -> None:
    """Require that the extra `center` is installed; `ValueError` says how to install it."""
    if find_spec(_PACKAGE) is None:
        advice = "pip install -c constraints.txt -e '.[assets,center]'"
        raise ValueError(f"the Training Center needs {_PACKAGE}: {advice}")
