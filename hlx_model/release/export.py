"""A checkpoint as a folder for others: weights, model card, what it was made from, and a signature if a key is given.

model.safetensors (or model.pt, model.onnx)   config.json   vocabulary.json   README.md   manifest.json
provenance.json   report.json, verdict.json (if it was evaluated)   model.sig (if a key is given)
"""

import shutil
from dataclasses import asdict
from pathlib import Path

from hlx_model.checkpoints.manifest import REMEDY, CheckpointError, Manifest, read_manifest
from hlx_model.checkpoints.seal import VerifiedCheckpoint, verify_checkpoint
from hlx_model.files import filled_directory, sha256_of, write_json, write_text
from hlx_model.layout import (
    CARD,
    CONFIG,
    MANIFEST,
    ONNX_WEIGHTS,
    PROVENANCE,
    PT_WEIGHTS,
    REPORT,
    VERDICT,
    VOCABULARY,
    WEIGHTS,
)
from hlx_model.model.sizes import POSITIONS
from hlx_model.model.tokenizer import BOS, EOS, PAD, SPECIAL, SYMBOLS, UNK, VOCABULARY_SHA256, VOCABULARY_SIZE
from hlx_model.outputs import require_output
from hlx_model.provenance.record import CheckpointRecord, record_of
from hlx_model.release.card import card_of
from hlx_model.release.signing import require_private_key, sign
from hlx_model.release.statement import statement

WEIGHTS_FORMATS = ("safetensors", "pt")
"""Formats that any program can write."""
FORMATS = (*WEIGHTS_FORMATS, "onnx")
"""`onnx` needs optional packages, several times the memory of the model, and the process for itself."""


def export(checkpoint: Path, target: Path, format: str = "safetensors", key: Path | None = None) -> CheckpointRecord:
    """Write a checkpoint's folder, whole or not at all.

    Args:
        checkpoint: its directory.
        target: the folder, which must not exist yet, or be empty.
        format: of the weights; `pt` is a dictionary of `torch.save` with `model_state_dict`, `epoch` and `vocab`;
            `onnx` is the model as a graph (`onnx_model.py`).
        key: private key (PEM) to sign the folder with.

    Returns:
        What is recorded of the checkpoint.

    Raises:
        CheckpointError: the checkpoint or its report is not as recorded.
        ValueError: the target is not empty or lies in a folder that hlx keeps, the key cannot be used, or the model
            cannot be written as ONNX.
        RuntimeError: the packages for a signature or for ONNX are missing.
    """
    if format not in FORMATS:
        raise ValueError(f"--format is {format!r}: choose one of {', '.join(FORMATS)}")
    _require_free(target)
    place = require_output(target, folder=True)
    if key is not None:
        require_private_key(key)
    # Weights that are copied are hashed once, in the new folder.
    hashed_later = {WEIGHTS} if format == "safetensors" else set()
    verified = verify_checkpoint(checkpoint, only=read_manifest(checkpoint).files.keys() - hashed_later)
    manifest = verified.manifest
    record = record_of(checkpoint)
    with filled_directory(place) as directory:
        weights = _write_weights(verified, directory, format)
        write_json(directory / CONFIG, config(manifest), durable=False)
        write_json(directory / VOCABULARY, vocabulary(), durable=False)
        write_text(directory / CARD, card_of(record, weights))
        shutil.copyfile(checkpoint / MANIFEST, directory / MANIFEST)
        if record.verdict is not None:
            for name in (REPORT, VERDICT):
                shutil.copyfile(record.directory / name, directory / name)
        files = {path.name: sha256_of(path) for path in sorted(directory.iterdir())}
        if files.get(WEIGHTS, manifest.weights_sha256) != manifest.weights_sha256:
            raise CheckpointError(f"{checkpoint / WEIGHTS}: its SHA-256 is not the one recorded: {REMEDY}")
        write_json(directory / PROVENANCE, statement(manifest, files), durable=False)
        if key is not None:
            sign(directory, key)
    return record


def config(m: Manifest) -> dict[str, object]:
    """Return what a program needs to build the model: its architecture, and the ids of its special tokens."""
    return {
        "model_type": "hlx-brain", "size": m.size, "phase": m.phase, "parameters": m.parameters,
        **asdict(m.architecture), "positions": POSITIONS, "vocabulary_size": VOCABULARY_SIZE,
        "activation": "relu", "pre_norm": True, "final_norm": False, "tied_embeddings": False, "causal": True,
        "pad_token_id": PAD, "bos_token_id": BOS, "eos_token_id": EOS, "unk_token_id": UNK,
    }  # fmt: skip


def vocabulary() -> dict[str, object]:
    """Return the symbols in the order of their ids, with the SHA-256 of them joined by NUL characters, as UTF-8."""
    special = {symbol: index for index, symbol in enumerate(SPECIAL)}
    return {"symbols": list(SYMBOLS), "special": special, "sha256": VOCABULARY_SHA256}


_OF_A_DISK = "lost+found"
"""What a disk without files contains at its root."""


def _require_free(target: Path) -> None:
    # Without links and `..`: where it will be written.
    place = target.resolve()
    if place.exists() and not place.is_dir():
        raise ValueError(f"{target}: a file: name a new or an empty directory")
    if place.is_dir() and any(path.name != _OF_A_DISK for path in place.iterdir()):
        raise ValueError(f"{target}: not empty: name a new or an empty directory")


def _write_weights(verified: VerifiedCheckpoint, directory: Path, format: str) -> str:
    """Write the weights and return the name of their file."""
    checkpoint, m = verified
    if format == "safetensors":
        shutil.copyfile(checkpoint / WEIGHTS, directory / WEIGHTS)
        return WEIGHTS
    # PyTorch takes longer to load than all the rest to write.
    if format == "onnx":
        from hlx_model.release.onnx_model import write_onnx

        write_onnx(verified, directory / ONNX_WEIGHTS)
        return ONNX_WEIGHTS
    import torch
    from safetensors.torch import load_file

    ids = {symbol: index for index, symbol in enumerate(SYMBOLS)}
    state = {"epoch": m.epoch, "model_state_dict": load_file(checkpoint / WEIGHTS), "vocab": ids}
    torch.save(state, directory / PT_WEIGHTS)
    return PT_WEIGHTS
