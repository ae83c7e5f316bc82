"""Programs that some of the tests marked `system` need; they are run by `make system`, which installs them."""

import os
import shutil
from pathlib import Path

import pytest

_FOLDERS = "/usr/lib/postgresql/*/bin"
"""Where Debian has programs that are on nobody's PATH."""


def program(*names: str) -> str:
    """Return the path of the first of these programs that is installed.

    If none is, the test is skipped, or fails if `CI` is `true`: there a missing program is a fault of the set-up.
    """
    folders = os.pathsep.join(["", *map(str, sorted(Path("/").glob(_FOLDERS[1:]), reverse=True))])
    search = os.environ.get("PATH", os.defpath) + folders
    found = next((path for name in names if (path := shutil.which(name, path=search))), None)
    if found is None:
        reason = f"{names[0]} is missing: `make system` installs it if it runs as root"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return found
