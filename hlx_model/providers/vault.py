"""The keys of providers, sealed: `DAGSTER_HOME/providers/keys.json`.

    vault = Vault(ProviderFiles.of_home())
    entry = vault.add("claude", "work", Secret.of(text))
    vault.open(vault.find("claude").id).secret.reveal()

Each is sealed by libsodium (`nacl.secret.Aead`) together with its id, provider and address: a row that is swapped with
another, or is used for another address, does not open. The list shows names and last four characters without the key of
the vault (`master_key.py`).
"""

import base64
import fcntl
import os
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from pydantic import Field

from hlx_model.files import canonical_json, json_text, lock, utc_now
from hlx_model.json_model import JsonModel
from hlx_model.providers.catalogue import PROVIDERS, provider_named
from hlx_model.providers.files import ProviderFiles
from hlx_model.providers.master_key import KEY_FILE, SALT_SIZE, derived, file_named, master_key, require_package
from hlx_model.providers.secret import Secret, looks_like_key
from hlx_model.shown import one_line

LONGEST_NAME = 60
MODELS_KEPT = 500
NO_SUCH_KEY = "there is no such key: name one by its id or its name, not by its provider (`hlx keys list`)"


class KeyEntry(JsonModel):
    """A key of the vault; all but its last field may be shown."""

    id: str
    provider: str
    host: str
    """The address that it was stored for."""
    name: str
    last4: str
    created: str
    """UTC, ISO 8601, as the others."""
    last_used: str | None = None
    validated: str | None = None
    """When the provider last accepted it."""
    problem: str | None = None
    """The provider's word, if it refused the key since."""
    models: tuple[str, ...] = ()
    """Those that the provider offers for it."""
    sealed: str = Field(repr=False)


class _Keys(JsonModel):
    salt: str | None = None
    """Of the passphrase; None if a file seals the vault."""
    entries: tuple[KeyEntry, ...] = ()


@dataclass(frozen=True)
class Key:
    """A key that was opened."""

    entry: KeyEntry
    secret: Secret


class Vault:
    """The vault of a home; any number of processes may use it."""

    def __init__(self, files: ProviderFiles, passphrase: Callable[[], str] | None = None) -> None:
        """Take the files of a home; nothing is opened yet.

        Args:
            files: of the home.
            passphrase: asks a person, if the vault was sealed with a passphrase.
        """
        self._files, self._passphrase = files, passphrase
        self._masters: dict[str | None, bytes] = {}

    def entries(self) -> list[KeyEntry]:
        """Return the keys, the newest first; `ValueError` if the file is damaged."""
        return list(reversed(self._read().entries))

    def has_paid_key(self) -> bool:
        """Return whether there is a key of a provider that costs money."""
        return any(entry.provider not in PROVIDERS or PROVIDERS[entry.provider].needs_key for entry in self.entries())

    def add(self, provider: str, name: str, secret: Secret, models: Sequence[str] = ()) -> KeyEntry:
        """Seal a new key.

        Raises:
            ValueError: the provider is not known or needs no key, or the name is none or is there already.
        """
        found = provider_named(provider)
        if not found.needs_key:
            raise ValueError(f"{found.name} runs on this machine and needs no key")
        entry = KeyEntry(
            id=secrets.token_hex(8), provider=found.name, host=found.host, name=_name(name), last4=secret.last4,
            created=utc_now(), models=tuple(models)[:MODELS_KEPT], sealed="",
        )  # fmt: skip
        _require_apart(entry.name, secret)
        with self._changing(opens=True) as keys:
            _require_new(keys.entries, entry)
            entry = entry.replace(sealed=self._seal(keys, entry, secret))
            self._write(keys.replace(entries=(*keys.entries, entry)))
        return entry

    def rename(self, id: str, name: str) -> KeyEntry:
        """Give a key another name; `ValueError` as for `add`, or if there is no such key."""
        with self._changing() as keys:
            entry = _entry(keys, id).replace(name=_name(name))
            _require_new([other for other in keys.entries if other.id != entry.id], entry)
            self._put(keys, entry)
        return entry

    def replace(self, id: str, secret: Secret) -> KeyEntry:
        """Seal another secret in the place of a key, for the address that its provider has now.

        Raises:
            ValueError: there is no such key, or another key of the vault sealed those that are stored.
        """
        with self._changing(opens=True) as keys:
            entry = _entry(keys, id)
            _require_apart(entry.name, secret)
            entry = entry.replace(
                host=provider_named(entry.provider).host, last4=secret.last4, validated=None, problem=None, models=()
            )
            entry = entry.replace(sealed=self._seal(keys, entry, secret))
            self._put(keys, entry)
        return entry

    def remove(self, id: str) -> KeyEntry:
        """Remove a key and return what it was; `ValueError` if there is no such key."""
        with self._changing() as keys:
            entry = _entry(keys, id)
            kept = tuple(other for other in keys.entries if other.id != entry.id)
            self._write(keys.replace(entries=kept, salt=keys.salt if kept else None))
        return entry

    def mark(self, id: str, validated: bool, problem: str | None, models: Sequence[str] = ()) -> None:
        """Keep what a provider answered about a key."""
        with self._changing() as keys:
            entry = _entry(keys, id)
            entry = entry.replace(problem=None if validated else one_line(problem or "refused", 300))
            if validated:
                entry = entry.replace(validated=utc_now(), models=tuple(models)[:MODELS_KEPT] or entry.models)
            self._put(keys, entry)

    def find(self, provider: str, key_id: str | None = None) -> KeyEntry:
        """Return the key to use: the named one, else the newest that its provider accepted, else the newest.

        One that was stored for the address of now comes before others.

        Args:
            provider: its name.
            key_id: the id or the name of a key.

        Raises:
            ValueError: there is none, or it is for another address or provider; says what to do.
        """
        found = provider_named(provider)
        own = [entry for entry in self.entries() if entry.provider == found.name]
        if key_id:
            named = [entry for entry in self.entries() if key_id in (entry.id, entry.name)]
            own = [entry for entry in named if entry.provider == found.name]
            if named and not own:
                other = named[0]
                raise ValueError(
                    f"the key {other.name} is one of {other.provider}, not of {found.name}: name a key of {found.name}"
                )
        if not own:
            which = " of that name or id" if key_id else ""  # which is not repeated: it may be a key itself
            raise ValueError(
                f"there is no key of {found.name}{which}: `hlx keys add --provider {found.name} --name …` adds one"
            )
        host = found.host
        entry = min(own, key=lambda entry: (entry.host != host, entry.problem is not None, entry.validated is None))
        _require_address(entry, host)
        return entry

    def open(self, id: str) -> Key:
        """Open a key and note that it is used.

        Raises:
            ValueError: it does not open, or is for another address than its provider has now.
        """
        with self._changing(opens=True) as keys:
            entry = _entry(keys, id)
            _require_address(entry, provider_named(entry.provider).host)
            secret = self._unseal(keys, entry)
            self._put(keys, entry.replace(last_used=utc_now()))
        return Key(entry, secret)

    def seal_with_passphrase(self, passphrase: str) -> int:
        """Seal every key again, with a key that is derived from a passphrase, and return their number.

        Raises:
            ValueError: there is no key, one does not open, or the environment names a file, which comes first.
        """
        if named := file_named():
            raise ValueError(f"{named} names the key of the vault, which comes before a passphrase: unset it first")
        with self._changing(opens=True) as keys:
            if not keys.entries:
                raise ValueError("no key is stored: add one first")
            opened = [(entry, self._unseal(keys, entry)) for entry in keys.entries]
            salt = secrets.token_bytes(SALT_SIZE)
            key = derived(passphrase, salt)
            entries = tuple(entry.replace(sealed=_sealed(key, entry, secret)) for entry, secret in opened)
            self._write(_Keys(salt=salt.hex(), entries=entries))
        return len(entries)

    def fault(self) -> str | None:
        """Return why none of the keys opens, in one line; None if one does, or if there is none.

        A passphrase is asked for.
        """
        keys = self._read()
        try:
            return _fault(self._master(keys), keys) if keys.entries else None
        except ValueError as error:  # the key of the vault is missing
            return one_line(error)

    def _master(self, keys: _Keys) -> bytes:
        if keys.salt not in self._masters:  # a person is asked once
            salt = bytes.fromhex(keys.salt) if keys.salt else None
            home, make = self._files.root.parent, not keys.entries
            self._masters[keys.salt] = master_key(home, salt, self._passphrase, make=make)
        return self._masters[keys.salt]

    def _seal(self, keys: _Keys, entry: KeyEntry, secret: Secret) -> str:
        master = self._master(keys)
        if fault := _fault(master, keys):  # all are sealed with one key: a second one would lock the others out
            raise ValueError(f"the key {entry.name} of {entry.provider} was not stored: {fault}")
        return _sealed(master, entry, secret)

    def _unseal(self, keys: _Keys, entry: KeyEntry) -> Secret:
        master = self._master(keys)
        try:
            return _unsealed(master, entry)
        except ValueError:
            changed = f"its row was changed: `hlx keys remove {entry.id}`, and add it again"
            why = _fault(master, keys) or changed
            raise ValueError(f"the key {entry.name} of {entry.provider} does not open: {why}") from None

    def _read(self) -> _Keys:
        try:
            return _Keys.read(self._files.keys)
        except FileNotFoundError:
            return _Keys()

    @contextmanager
    def _changing(self, *, opens: bool = False) -> Iterator[_Keys]:
        """Yield the keys while no other process changes them; with `opens`, to open or seal one."""
        if opens:
            require_package()
            self._master(self._read())  # asks for a passphrase before others have to wait
        folder = os.open(self._files.make(), os.O_RDONLY)
        try:
            lock(folder, fcntl.LOCK_EX, self._files.root)
            yield self._read()
        finally:
            os.close(folder)

    def _put(self, keys: _Keys, entry: KeyEntry) -> None:
        self._write(keys.replace(entries=tuple(entry if other.id == entry.id else other for other in keys.entries)))

    def _write(self, keys: _Keys) -> None:
        path = self._files.keys
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        try:
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(json_text(keys.to_json()))
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def _bound(entry: KeyEntry) -> bytes:
    """Return what a sealed key is bound to."""
    return canonical_json([entry.id, entry.provider, entry.host]).encode()


def _sealed(master: bytes, entry: KeyEntry, secret: Secret) -> str:
    sealed = bytes(_aead(master).encrypt(secret.reveal().encode(), _bound(entry)))
    return base64.b64encode(sealed).decode()


def _unsealed(master: bytes, entry: KeyEntry) -> Secret:
    """Return a key; `ValueError` if it does not open."""
    from nacl.exceptions import CryptoError

    try:
        return Secret(_aead(master).decrypt(base64.b64decode(entry.sealed), _bound(entry)).decode())
    except (CryptoError, ValueError):
        raise ValueError("it does not open") from None


def _fault(master: bytes, keys: _Keys) -> str | None:
    """Return why a key of the vault opens none of the keys that are stored, and what to do; None if it opens one."""
    for entry in keys.entries:
        with suppress(ValueError):
            _unsealed(master, entry)
            return None
    if not keys.entries:
        return None
    anew = "remove all keys (`hlx keys remove`) and add them again"
    if not keys.salt:
        return (
            f"another key of the vault sealed the stored keys, or their rows were changed. Put {KEY_FILE} or the key "
            f"file back as it was; to use another key of the vault, or if it is lost, {anew}"
        )
    if named := file_named():
        return f"the stored keys are sealed with a passphrase, and {named} comes before it: unset it, or {anew}"
    return f"the passphrase is wrong: try again. Only if it is lost, {anew}"


def _aead(master: bytes) -> Any:
    from nacl.secret import Aead

    return Aead(master)


def _entry(keys: _Keys, id: str) -> KeyEntry:
    """Return a key by its id, or by its name if no other has it."""
    found = [entry for entry in keys.entries if entry.id == id] or [e for e in keys.entries if e.name == id]
    if len(found) != 1:  # the name is not repeated: it may be a key itself
        raise ValueError("several keys have that name: use the id (`hlx keys list`)" if found else NO_SUCH_KEY)
    return found[0]


def _require_address(entry: KeyEntry, host: str) -> None:
    """Require that a key was stored for the address that its provider has now."""
    if entry.host != host:
        raise ValueError(
            f"the key {entry.name} was stored for {entry.host}, and {entry.provider} is at {host} now: "
            f"`hlx keys replace {entry.id}` stores it for that"
        )


def _name(name: str) -> str:
    found = " ".join(name.split())
    if not found or len(found) > LONGEST_NAME or not found.isprintable():
        raise ValueError(f"name: give a name of 1 to {LONGEST_NAME} characters, such as work")
    if looks_like_key(found):
        raise ValueError("name: it looks like a key: give a name, such as work")
    return found


def _require_apart(name: str, secret: Secret) -> None:
    """Require that a name shows nothing of its key."""
    if secret.is_shown_by(name):
        raise ValueError("the name contains a part of the key: choose another name")


def _require_new(others: Sequence[KeyEntry], entry: KeyEntry) -> None:
    if any((other.provider, other.name) == (entry.provider, entry.name) for other in others):
        raise ValueError(f"{entry.provider} has a key {entry.name} already: choose another name, or replace that one")
