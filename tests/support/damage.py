"""Damage to files: a changed bit, a lost half, a forged field or other weights under a seal that fits."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hlx_model.checkpoints.progress import read_state
from hlx_model.checkpoints.seal import remove_checkpoint, verify_checkpoint
from hlx_model.checkpoints.weights import load_model, load_optimizer, write_checkpoint
from hlx_model.files import digest_of, read_json, write_json
from hlx_model.model.transformer import Transformer


def flip(path: Path, place: int | None = None) -> None:
    """Change one bit of the byte at `place`, by default in the middle."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2 if place is None else place] ^= 1
    path.write_bytes(content)


def truncate(path: Path) -> None:
    """Cut off the second half."""
    os.truncate(path, path.stat().st_size // 2)


def seal(path: Path, content: dict[str, Any]) -> None:
    """Write a document under the digest that fits."""
    content = {key: value for key, value in content.items() if key != "digest"}
    write_json(path, {**content, "digest": digest_of(content)})


def reseal(path: Path, **changes: Any) -> None:
    """Change fields of a sealed document and give it the digest that fits."""
    seal(path, read_json(path) | changes)


def rewrite_checkpoint(path: Path, change: Callable[[Transformer], None], **manifest: Any) -> None:
    """Write a checkpoint again, sealed as the trainer seals it, with other weights or another manifest."""
    found = verify_checkpoint(path)
    model, state, moments = load_model(found), read_state(path), load_optimizer(found)
    change(model)
    remove_checkpoint(path)
    write_checkpoint(path.parent, found.manifest.replace(**manifest), model, state, moments)
