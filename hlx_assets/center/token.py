"""The token of the Training Center: needed for everything but `/api/health` as soon as a paid key is stored.

Loopback is every user of the machine, and a request could spend money. The token is `HLX_API_TOKEN`, or one of this
user's own, which is kept beside the key of the vault, so that a browser stays logged in over a restart.
"""

import os
import re
import secrets
from collections.abc import Callable
from pathlib import Path

from hlx_model.providers.files import ProviderFiles
from hlx_model.providers.master_key import state_folder, write_private
from hlx_model.providers.vault import Vault


def own_token() -> str:
    """Return the token of this user, which is made at first use. If it cannot be kept, it is new at each start.

    Raises:
        ValueError: its file cannot be read, contains none, or is open to others.
    """
    path, made = state_folder() / "center.token", secrets.token_urlsafe(24)
    try:
        if not path.exists():
            write_private(path, made)
    except OSError:  # a home without a place for it, in which no key was stored either
        return made
    found = path.read_text(encoding="utf-8", errors="replace").strip()
    status = path.stat()
    if not re.fullmatch(r"[\w-]{16,}", found) or status.st_mode & 0o077 or status.st_uid != os.getuid():
        raise ValueError(f"{path} is no token of yours alone: remove it, and a new one is made")
    return found


def required_by(home: Path) -> Callable[[], bool]:
    """Return a function that says whether a paid key is stored in a home; of a vault that cannot be read, yes."""
    files, last = ProviderFiles.of_home(home), ((0, 0, 0), False)

    def required() -> bool:
        nonlocal last
        try:
            status = files.keys.stat()
        except FileNotFoundError:
            return False
        except OSError:
            return True
        now = (status.st_ino, status.st_mtime_ns, status.st_size)
        if now != last[0]:
            try:
                last = (now, Vault(files).has_paid_key())
            except (ValueError, OSError):
                return True
        return last[1]

    return required
