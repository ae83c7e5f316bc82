"""Sign a folder with the user's own key, and verify the signature, `model.sig`, which covers every other file.

    openssl ecparam -name prime256v1 -genkey -noout -out key.pem
    openssl ec -in key.pem -pubout -out key.pub

The folder is an exported one or a checkpoint's. The signature is a Sigstore bundle as OpenSSF Model Signing writes it
with a key. Its own tool reads it too (`model_signing verify key`). Nothing uses the network.
"""

import base64
import json
import tempfile
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from hlx_model.files import sha256_of, write_bytes
from hlx_model.layout import SIGNATURE

_MAKE_A_KEY = "make one with `openssl ecparam -name prime256v1 -genkey -noout -out key.pem`"
_USE_THE_PUBLIC = "use the public key, from `openssl ec -in key.pem -pubout -out key.pub`"


class BadKey(ValueError):
    """A file is not a key of the required kind: one line."""


def require_private_key(private_key: Path) -> Any:
    """Require that `sign` can use this key (PEM, of an elliptic curve, without a password), and return its signer.

    Raises:
        BadKey: it is missing or cannot be used.
    """
    config, wrong = _library().signing.Config(), "not a private key (PEM) of an elliptic curve"
    return _with_key(private_key, lambda: config.use_elliptic_key_signer(private_key=private_key), wrong, _MAKE_A_KEY)


def sign(directory: Path, private_key: Path) -> Path:
    """Sign every file of a folder.

    Returns:
        The signature, written into the folder; an older one is replaced.

    Raises:
        ValueError: the key cannot be used, or the folder is missing or contains links.
    """
    config = require_private_key(private_key)
    _require_plain(directory)
    with tempfile.TemporaryDirectory() as elsewhere:
        path = Path(elsewhere) / SIGNATURE
        config.set_hashing_config(_hashing()).sign(directory.resolve(), path)
        write_bytes(directory / SIGNATURE, path.read_bytes())
    return directory / SIGNATURE


def verify_signature(directory: Path, public_key: Path) -> None:
    """Require that a folder is signed with this key, and that its files are those that were signed.

    Raises:
        ValueError: one line that names what is changed, missing or not signed, or says that the key is another.
        BadKey: the key is missing, or not the public key of an elliptic curve.
    """
    _require_plain(directory)
    signature = directory / SIGNATURE
    if not signature.is_file():
        raise ValueError(f"{directory}: not signed: {SIGNATURE} is missing")
    config, wrong = _library().verifying.Config(), "not the public key (PEM) of an elliptic curve"
    _with_key(public_key, lambda: config.use_elliptic_key_verifier(public_key=public_key), wrong, _USE_THE_PUBLIC)
    try:
        config.set_hashing_config(_hashing()).verify(directory.resolve(), signature)
    except Exception as error:  # sigstore raises errors of many types
        raise ValueError(f"{directory}: {_reason(error, directory, public_key)}") from error
    if ignored := set(_payload(signature)["serialization"].get("ignore_paths", ())) - {SIGNATURE}:
        raise ValueError(f"{directory}: its signature leaves out {', '.join(sorted(ignored))}: sign it again")


def _with_key(key: Path, configure: Callable[[], Any], wrong: str, remedy: str) -> Any:
    """Return what `configure` makes of a key; `BadKey` if the key is missing, has a password or is `wrong`."""
    if not key.is_file():
        raise BadKey(f"{key}: no such file: {_MAKE_A_KEY}")
    try:
        return configure()
    except OSError:
        raise
    except Exception as error:  # cryptography raises errors of many types
        what = "has a password: use one without" if "encrypted" in str(error) else wrong
        raise BadKey(f"{key}: {what}: {remedy}") from error


def _reason(error: Exception, directory: Path, public_key: Path) -> str:
    """Return in words what `model_signing` found, which raises errors of many types."""
    message = " ".join(str(error).split())
    if message.startswith("Signature mismatch"):
        return "; ".join(_differences(directory)) or message
    if message.startswith("Key mismatch"):
        return f"signed with another key than {public_key}"
    if type(error).__name__ == "InvalidSignature":
        return f"{SIGNATURE} was changed, or is not by {public_key}"
    return f"{SIGNATURE} is not a signature, or was changed ({type(error).__name__})"


def _differences(directory: Path) -> list[str]:
    """Return how the files of a folder differ from those in its signature, which is by the right key."""
    signed = {item["name"]: item["digest"] for item in _payload(directory / SIGNATURE)["resources"]}
    files = {str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file()} - {SIGNATURE}
    changed = {name for name in files & signed.keys() if sha256_of(directory / name) != signed[name]}
    found = {"changed": changed, "missing": signed.keys() - files, "not signed": files - signed.keys()}
    return [f"{what}: {', '.join(sorted(names))}" for what, names in found.items() if names]


def _payload(signature: Path) -> Any:
    """Return what was signed: the predicate of an in-toto statement on the files."""
    envelope = json.loads(signature.read_text(encoding="utf-8"))["dsseEnvelope"]
    return json.loads(base64.b64decode(envelope["payload"]))["predicate"]


def _require_plain(directory: Path) -> None:
    if not directory.is_dir():
        raise ValueError(f"{directory}: no such directory")
    if links := [path for path in directory.rglob("*") if path.is_symlink()]:
        raise ValueError(f"{links[0]}: a link: only a folder of plain files can be signed")


def _hashing() -> Any:
    """Return the library's settings: every file counts, also those that git ignores."""
    return _library().hashing.Config().set_ignored_paths(paths=[SIGNATURE], ignore_git_paths=False)


def _library() -> Any:
    """Load `model_signing`, an optional package."""
    try:
        return import_module("model_signing")
    except (ImportError, AttributeError) as error:  # AttributeError: pyOpenSSL is too old for cryptography
        install = "pip install -c constraints.txt -e '.[signing]'"
        raise RuntimeError(f"signing needs the package model-signing ({error}): {install}") from None
