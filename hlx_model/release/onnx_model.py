"""A checkpoint's model as one ONNX file, for ONNX Runtime: in Python, a browser, C++ or Rust.

    tokens (batch, time), int64  ->  logits (batch, time, 117) of the token after each, float32

It is the full pass of `Transformer.forward`, with the weights inside. It has no cache of keys and values: a program
that writes text passes all tokens again for each new one.

The file is read back by ONNX Runtime before it is kept: it must answer as the checkpoint does.
"""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import torch

from hlx_model.checkpoints.seal import VerifiedCheckpoint
from hlx_model.checkpoints.weights import load_model
from hlx_model.corpus.prompts import ENGLISH, prompt
from hlx_model.language import Format
from hlx_model.model.generation import generate, greedy
from hlx_model.model.sizes import POSITIONS
from hlx_model.model.tokenizer import BOS, EOS, VOCABULARY_SHA256, encode
from hlx_model.model.transformer import Transformer

MOST_BYTES = 2_000_000_000
"""Of the weights: a protobuf message, which an ONNX file is, has less than 2 GiB."""
OPSET = 18
"""The oldest version of ONNX's operators that PyTorch's exporter writes, so that most runtimes read it."""
PROMPTS = (
    *(prompt(format, "Search for documents") for format in Format),
    prompt(ENGLISH, '{1000: {@0: "documents"}}'),
    "Search for ",
    "{1000: {@0: ",
)
"""What both must answer alike, whatever the phase of the model."""
_ANSWER = 128
"""Tokens of an answer at most."""
_PACKAGES = ("onnx", "onnxscript", "onnxruntime")


def write_onnx(checkpoint: VerifiedCheckpoint, path: Path) -> None:
    """Write the model of a checkpoint as an ONNX file that answers `PROMPTS` as the checkpoint does.

    The file's metadata has the checkpoint and the SHA-256 of the vocabulary. The same checkpoint and packages give the
    same bytes.

    Raises:
        ValueError: the weights are too large for a file, or the answers differ.
        RuntimeError: a package is missing.
    """
    m = checkpoint.manifest
    if (weights := 4 * m.parameters) > MOST_BYTES:
        fit = f"an ONNX file has less than {MOST_BYTES / 1e9:g} GB"
        raise ValueError(f"{checkpoint.ref} has {weights / 1e9:.1f} GB of weights, and {fit}: use --format safetensors")
    _require_packages()
    model = load_model(checkpoint)
    metadata = {"hlx_checkpoint": checkpoint.ref, "hlx_vocabulary_sha256": VOCABULARY_SHA256}
    with _quiet():
        _export(model, path, metadata)
    _require_same_answers(model, path, checkpoint.ref)


def _export(model: Transformer, path: Path, metadata: dict[str, str]) -> None:
    # Two rows of several tokens: of a dimension of 1 the exporter makes a constant.
    tokens_BT = torch.full((2, 8), BOS)
    batch, time = torch.export.Dim("batch"), torch.export.Dim("time", max=POSITIONS)
    program = torch.onnx.export(
        model, (tokens_BT,), dynamo=True, opset_version=OPSET, verbose=False,
        input_names=["tokens"], output_names=["logits"], dynamic_shapes=({0: batch, 1: time},),
    )  # fmt: skip
    assert program is not None
    # It notes for each operation where in the source code it comes from, with paths of this machine.
    import_module("onnx_ir.passes.common").ClearMetadataAndDocStringPass()(program.model)
    program.model.metadata_props.update(metadata)
    # `program.save` puts weights of 1.5 GB and more into a second file, whatever it is told.
    import_module("onnx_ir").save(program.model, path)


def _require_same_answers(model: Transformer, path: Path, ref: str) -> None:
    """Require that ONNX Runtime answers as PyTorch does; `ValueError` if not."""
    session = import_module("onnxruntime").InferenceSession(path, providers=["CPUExecutionProvider"])
    for text, answer in zip(PROMPTS, generate(model, PROMPTS, max_new_tokens=_ANSWER), strict=True):
        if not _answers(session, text, answer):
            raise ValueError(f"{ref}: as ONNX it answers {text!r} otherwise than {answer!r}: use --format safetensors")


def _answers(session: Any, text: str, answer: str) -> bool:
    """Return whether an ONNX model writes this answer to a text.

    One pass shows that: if each symbol is the greedy choice after those before it, writing them one by one gives them.
    """
    # A whole answer ends with <EOS>; one of the full length was cut off.
    wanted = [*encode(answer), EOS][:_ANSWER]
    tokens = torch.tensor([[BOS, *encode(text), *wanted[:-1]]])
    (logits,) = session.run(["logits"], {"tokens": tokens.numpy()})
    return greedy(torch.from_numpy(logits[0, len(text) :])).tolist() == wanted


def _require_packages() -> None:
    try:
        for package in _PACKAGES:
            import_module(package)
    except ImportError as error:
        install = "pip install -c constraints.txt -e '.[onnx]'"
        raise RuntimeError(f"ONNX needs the packages {', '.join(_PACKAGES)} ({error}): {install}") from None


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the messages of the exporter and its packages: what they make is checked."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
