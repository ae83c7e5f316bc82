"""Keys of a vault in tests, and the search for what leaked of them."""

from collections.abc import Iterable
from pathlib import Path

import pytest
from nacl import pwhash

from hlx_model.providers.files import ProviderFiles
from hlx_model.providers.secret import SHOWABLE

CLAUDE = "sk-ant-api03-Wq7Zt2Rb9Xc4Vm6Kp1Ld8Ns3-AA"
OPENAI = "sk-proj-Jh5Gf8Yd2Us7Ta4Ie9Ow6Pq1Mz3-BB"
XAI = "xai-Bn4Cv7Xz1Ql8Wk3Ej6Rh9Ty2Ug5-CC"


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ProviderFiles:
    """The files of a new home, which is also $DAGSTER_HOME; the key of its vault is in a new folder of state."""
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return ProviderFiles.of_home()


def parts_of(key: str) -> list[bytes]:
    """Return every part of a key that must be found nowhere."""
    return [key[at : at + SHOWABLE].encode() for at in range(len(key) - SHOWABLE + 1)]


def leaks_in(content: str | bytes, keys: Iterable[str]) -> list[bytes]:
    """Return the parts of keys that a text contains."""
    text = content.encode() if isinstance(content, str) else content
    return [part for key in keys for part in parts_of(key) if part in text]


def leaks_under(folder: Path, keys: Iterable[str]) -> list[tuple[Path, bytes]]:
    """Return the files below a folder that contain parts of keys, or are named by them, with the first part."""
    wanted = list(keys)
    found = [
        (path, leaks_in(f"{path}".encode() + (path.read_bytes() if path.is_file() else b""), wanted))
        for path in folder.rglob("*")
    ]
    return [(path, parts[0]) for path, parts in found if parts]


def cheap_passphrases(patch: pytest.MonkeyPatch) -> None:
    """Let a passphrase become a key at once, and not in half a second."""
    patch.setattr(pwhash.argon2id, "OPSLIMIT_MODERATE", pwhash.argon2id.OPSLIMIT_MIN)
    patch.setattr(pwhash.argon2id, "MEMLIMIT_MODERATE", pwhash.argon2id.MEMLIMIT_MIN)
