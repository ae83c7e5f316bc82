"""Keys that sign an export."""

from pathlib import Path
from typing import Any

import pytest


def key_pair(directory: Path, name: str = "key") -> tuple[Path, Path]:
    """Write a private and a public key of the curve P-256."""
    ec = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.ec")
    return write_keys(directory, name, ec.generate_private_key(ec.SECP256R1()))


def write_keys(directory: Path, name: str, key: Any, password: bytes | None = None) -> tuple[Path, Path]:
    """Write a key, and the public one that belongs to it; return both files."""
    s = pytest.importorskip("cryptography.hazmat.primitives.serialization")
    hidden = s.BestAvailableEncryption(password) if password else s.NoEncryption()
    private, public = directory / f"{name}.pem", directory / f"{name}.pub"
    private.write_bytes(key.private_bytes(s.Encoding.PEM, s.PrivateFormat.PKCS8, hidden))
    public.write_bytes(key.public_key().public_bytes(s.Encoding.PEM, s.PublicFormat.SubjectPublicKeyInfo))
    return private, public
