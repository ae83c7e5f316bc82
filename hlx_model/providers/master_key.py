"""The key that seals the vault: 32 bytes that never lie in the home.

So a copy of the home opens nothing for another user or on another machine.

The first that is there:

1. `$CREDENTIALS_DIRECTORY/hlx-center`, a credential of systemd;
2. the file of `HLX_CENTER_KEY_FILE`;
3. a passphrase, if the vault was sealed with one (`hlx keys passphrase`): asked at the terminal, never in a variable;
4. `${XDG_STATE_HOME:-~/.local/state}/hlx-brain/center.key`, which is made at first use.

It protects a copied home, a backup, a log. It does not protect from a process of the same user, which can read both.
"""

import os
import secrets
import stat
from collections.abc import Callable
from pathlib import Path

from hlx_model.environment import Environment
from hlx_model.providers.adapters import EXTRA

CREDENTIALS, CREDENTIAL = "CREDENTIALS_DIRECTORY", "hlx-center"
KEY_FILE = "HLX_CENTER_KEY_FILE"
SIZE, SALT_SIZE = 32, 16
"""Bytes."""
_MADE = f"(umask 077; openssl rand -hex {SIZE} > FILE)"


def require_package() -> None:
    """Require PyNaCl; `ValueError` says how to install it."""
    try:
        import nacl.secret  # noqa: F401
    except ModuleNotFoundError:
        raise ValueError(f"the package pynacl is missing, which opens and seals keys: {EXTRA}") from None


def file_named() -> str | None:
    """Return the variable that names a file with the key of the vault, which comes before a passphrase."""
    folder = os.environ.get(CREDENTIALS)
    if folder and (Path(folder) / CREDENTIAL).is_file():
        return CREDENTIALS
    return KEY_FILE if Environment.read(KEY_FILE).center_key_file else None


def state_folder() -> Path:
    """Return the folder of this user's state: `$XDG_STATE_HOME/hlx-brain`, by default in `~/.local/state`."""
    named = os.environ.get("XDG_STATE_HOME", "")
    return (Path(named) if Path(named).is_absolute() else Path.home() / ".local/state") / "hlx-brain"


def master_key(
    home: Path, salt: bytes | None, passphrase: Callable[[], str] | None = None, *, make: bool = True
) -> bytes:
    """Return the key of the vault of a home.

    Args:
        home: in which no key file may lie.
        salt: of the passphrase that the vault was sealed with; None if it was sealed with a file.
        passphrase: asks a person for it.
        make: make the file of this user if it is missing. Another one would open nothing that is sealed.

    Raises:
        ValueError: the file is missing, open to others, or in a place where it is copied with the home; or there is no
            terminal at which a person could type the passphrase.
    """
    named = file_named()
    if named == CREDENTIALS:
        return _read(Path(os.environ[CREDENTIALS]) / CREDENTIAL, home, f"${CREDENTIALS}/{CREDENTIAL}", private=False)
    if named == KEY_FILE:
        path = Path(Environment.read(KEY_FILE).center_key_file or "")
        if not path.is_absolute():  # commands, jobs and the Training Center run in different folders
            raise ValueError(f"{KEY_FILE} is {str(path)!r}: give the whole path, from / on")
        return _read(path, home, KEY_FILE)
    if salt is not None:
        if passphrase is None:
            raise ValueError(
                "the vault was sealed with a passphrase, which only a command at a terminal can ask for. For jobs and "
                "the Training Center, remove all keys (`hlx keys remove`) and add them again: a file seals them then"
            )
        return derived(passphrase(), salt)
    path = state_folder() / "center.key"
    if not path.exists():
        if not make:
            raise ValueError(
                f"the key of the vault is missing: put {path} back as it was, or name it in {KEY_FILE}; if it is lost, "
                "remove the keys (`hlx keys remove`) and add them again"
            )
        _require_outside(path, home)
        write_private(path, secrets.token_hex(SIZE))
    return _read(path, home, "the key of the vault")


def derived(passphrase: str, salt: bytes) -> bytes:
    """Return the key for a passphrase (argon2id, moderate limits: 256 MiB, under a second)."""
    from nacl import pwhash

    limits = (pwhash.argon2id.OPSLIMIT_MODERATE, pwhash.argon2id.MEMLIMIT_MODERATE)
    return pwhash.argon2id.kdf(SIZE, passphrase.encode(), salt, *limits)


def write_private(path: Path, text: str) -> None:
    """Write a new file that its owner alone can read, in a folder that its owner alone can enter.

    If another process makes it at the same moment, that one stays.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text + "\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(temporary, path)
        except FileExistsError:
            return
    finally:
        temporary.unlink()


def _read(path: Path, home: Path, called: str, *, private: bool = True) -> bytes:
    """Return the key in a file; `ValueError` if the file is not private or its content is no key."""
    try:
        # Opened first: what is checked is what is read. A pipe is not waited for.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError as error:
        raise ValueError(
            f"{called}: {path}: {error.strerror}: put it back as it was, or name the file that sealed the keys; for a "
            f"first key make one with {_MADE}"
        ) from None
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        raise ValueError(f"{called}: {path} is no file")
    with os.fdopen(descriptor, "rb") as file:
        if private:
            if status.st_uid != os.getuid():
                raise ValueError(f"{called}: {path} belongs to another user: make it your own")
            if mode := status.st_mode & 0o077:
                raise ValueError(f"{called}: {path} is open to others (mode {mode | 0o600:04o}): `chmod 600 {path}`")
        _require_outside(path, home)
        text = file.read(4 * SIZE)
    try:
        key = bytes.fromhex(text.decode().strip())
    except ValueError:
        key = b""
    if len(key) != SIZE:
        raise ValueError(f"{called}: {path} does not contain {2 * SIZE} hexadecimal digits: make one with {_MADE}")
    return key


def _require_outside(path: Path, home: Path) -> None:
    """Require that a key file lies neither in the home nor in a work tree of git, where it would be copied along."""
    place, elsewhere = path.resolve(), f"move it, and name its place in {KEY_FILE}"
    for folder in place.parents:
        if folder == home.resolve():
            raise ValueError(f"{path} lies in the home {home}, whose copies would contain it: {elsewhere}")
        if (folder / ".git").exists():
            raise ValueError(f"{path} lies in {folder}, a work tree of git, and could be committed: {elsewhere}")
