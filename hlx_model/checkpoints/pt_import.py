"""Import the weights of a `.pt` file: a state dict that `torch.save` wrote.

    imported = load_pt(Path("checkpoints/phase1_FINAL_epoch200.pt"))

The file is a state dict, or contains one beside an optimizer's state, epochs and losses, which are ignored. It is read
with `weights_only=True`, which calls no function that a pickle names.
"""

import hashlib
import os
import pickle
import re
import warnings
from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from hlx_model.checkpoints.manifest import CheckpointError
from hlx_model.files import open_input
from hlx_model.model.sizes import POSITIONS, SIZES, Architecture
from hlx_model.model.tokenizer import SYMBOLS, VOCABULARY_SIZE
from hlx_model.model.transformer import Transformer

HOLDERS = ("model_state_dict", "state_dict", "model")
"""The keys under which a file may contain its state dict."""
PREFIXES = ("module.", "_orig_mod.")
"""What `DistributedDataParallel` and `torch.compile` add before every name."""
VOCABULARIES = ("vocabulary", "vocab", "stoi", "itos", "char_to_id", "id_to_char", "token_to_id", "id_to_token")
"""The keys under which a file may contain its symbols: in order, or with their ids."""
_SAVE_AGAIN = "save its weights alone, with torch.save(model.state_dict(), PATH)"
_LAYER = re.compile(r"transformer\.layers\.(\d+)\.")


class ImportedModel(NamedTuple):
    """A model imported from a file."""

    model: Transformer
    """On the CPU, in fp32, in evaluation mode."""
    sha256: str
    """The hash of the file."""

    @property
    def size(self) -> str:
        """Return the name of its size; its four numbers if the size table does not contain it."""
        a = self.model.architecture
        named = {architecture: name for name, architecture in SIZES.items()}
        return named.get(a, f"{a.d_model} wide, {a.layers} layers, {a.heads} heads, {a.ffn} feed-forward")


def load_pt(path: Path, heads: int | None = None) -> ImportedModel:
    """Load the model in a `.pt` file.

    Args:
        path: the file.
        heads: attention heads, which the shapes do not determine; None takes those of the size with the same shapes.

    Raises:
        CheckpointError: the file contains more than data, or not the weights of such a model; names what is wrong.
        OSError: it cannot be read.
    """
    try:
        content, sha256 = _read(path)
        state = _state_dict(content)
        if isinstance(content, Mapping):
            _require_vocabulary(content)
        model = _fitted(state, _architecture(state, heads))
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from None
    return ImportedModel(model, sha256)


def _read(path: Path) -> tuple[Any, str]:
    """Return what a file contains, and the SHA-256 of what was read."""
    with open_input(path) as file, warnings.catch_warnings():
        before, sha256 = os.fstat(file.fileno()), hashlib.file_digest(file, "sha256").hexdigest()
        file.seek(0)
        # torch warns about some files before it refuses them.
        warnings.simplefilter("ignore")
        try:
            content = torch.load(file, map_location="cpu", weights_only=True)
        except Exception as error:  # any error: the bytes may be anything
            reason = f"{type(error).__name__}: {' '.join(str(error).split())}"[:120]
            if isinstance(error, pickle.UnpicklingError):
                if named := re.search(r"GLOBAL (\S+)", str(error)):
                    more = f"contains more than weights ({named[1]}), which is never loaded"
                    raise CheckpointError(f"{more}: {_SAVE_AGAIN}") from None
                reason = "another pickle"
            unreadable = f"not a file that torch.save wrote, or an incomplete one ({reason})"
            raise CheckpointError(f"{unreadable}: {_SAVE_AGAIN}") from None
        after = os.fstat(file.fileno())
        if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
            raise CheckpointError("it changed while it was read: wait until it is written")
        return content, sha256


def _state_dict(content: Any) -> dict[str, Tensor]:
    """Return the weights that a file contains, by their names without prefixes."""
    found = content
    if isinstance(content, Mapping):
        found = next((content[key] for key in HOLDERS if isinstance(content.get(key), Mapping)), content)
    if not isinstance(found, Mapping):
        raise CheckpointError(f"contains a value of type {type(found).__name__}, not a state dict: {_SAVE_AGAIN}")
    if not found or not all(isinstance(name, str) and isinstance(value, Tensor) for name, value in found.items()):
        names = ", ".join(map(str, list(found)[:6])) or "nothing"
        raise CheckpointError(f"no state dict under {', '.join(HOLDERS)} or by itself (it contains {names})")
    state = dict(found)
    while prefix := next((p for p in PREFIXES if all(name.startswith(p) for name in state)), None):
        state = {name.removeprefix(prefix): tensor for name, tensor in state.items()}
    return state


def _require_vocabulary(content: Mapping[str, Any]) -> None:
    """Raise `CheckpointError` if the file contains symbols that are not this program's."""
    expected = dict(enumerate(SYMBOLS))
    tokenizer = content.get("tokenizer")
    holders = (content, tokenizer if isinstance(tokenizer, Mapping) else {})
    for holder, key in product(holders, VOCABULARIES):
        symbols = _by_id(holder.get(key))
        if symbols is not None and symbols != expected:
            wrong = next(i for i in range(len(SYMBOLS) + len(symbols)) if symbols.get(i) != expected.get(i))
            raise CheckpointError(
                f"its {key} has {len(symbols)} symbols, and id {wrong} is {symbols.get(wrong)!r}: required "
                f"{VOCABULARY_SIZE} symbols, with {expected.get(wrong)!r} there: it cannot be evaluated"
            )


def _by_id(vocabulary: Any) -> dict[Any, Any] | None:
    """Return a vocabulary, in any of its forms, as symbols by id; None if it is not one."""
    if isinstance(vocabulary, list | tuple):
        return dict(enumerate(vocabulary))
    if isinstance(vocabulary, Mapping):
        by_id = {key: value for key, value in vocabulary.items() if isinstance(key, int)}
        return by_id or {value: key for key, value in vocabulary.items() if isinstance(value, int)}
    return None


def _architecture(state: dict[str, Tensor], heads: int | None) -> Architecture:
    """Return the architecture of the shapes, with the heads that are named or those of the size table."""
    vocabulary, d_model = _matrix(state, "token_embedding.weight")
    positions, _ = _matrix(state, "position_embedding.weight")
    ffn, _ = _matrix(state, "transformer.layers.0.linear1.weight")
    if vocabulary != VOCABULARY_SIZE:
        raise CheckpointError(f"a vocabulary of {vocabulary} symbols, required {VOCABULARY_SIZE}")
    if positions != POSITIONS:
        raise CheckpointError(f"{positions} positions, required {POSITIONS}")
    layers = len({layer[1] for name in state if (layer := _LAYER.match(name))})
    possible = ", ".join(str(number) for number in range(1, d_model + 1) if d_model % number == 0)
    if heads is None:
        shapes = d_model, layers, ffn
        heads = next((a.heads for a in SIZES.values() if (a.d_model, a.layers, a.ffn) == shapes), None)
    if heads is None:
        raise CheckpointError(
            f"its shapes ({d_model} wide, {layers} layers, {ffn} feed-forward) are not in the size table, "
            f"and do not determine the number of heads: name it with --heads, one of {possible}"
        )
    if heads < 1 or d_model % heads:
        raise CheckpointError(f"--heads is {heads}: a model {d_model} wide can have {possible}")
    return Architecture(d_model, layers, heads, ffn)


def _matrix(state: dict[str, Tensor], name: str) -> tuple[int, int]:
    if name not in state:
        raise CheckpointError(f"{name} is missing (its first is {next(iter(state))}): not an HLX Brain model")
    if state[name].ndim != 2:
        raise CheckpointError(f"{name} has the shape {tuple(state[name].shape)}, required two numbers")
    return state[name].shape[0], state[name].shape[1]


def _fitted(state: dict[str, Tensor], a: Architecture) -> Transformer:
    """Return the model of these weights, in fp32; each must have the name and shape of such a model's."""
    with torch.device("meta"):
        model = Transformer(a)
    expected = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    if missing := [name for name in expected if name not in state]:
        raise CheckpointError(f"{_some(missing)} missing from a model of {a.layers} layers")
    if unexpected := [name for name in state if name not in expected]:
        raise CheckpointError(f"{_some(unexpected)} in it, which an HLX Brain model does not have")
    weights: dict[str, Tensor] = {}
    for name, shape in expected.items():
        tensor = state[name]
        if tuple(tensor.shape) != shape:
            raise CheckpointError(f"{name} has the shape {tuple(tensor.shape)}, required {shape}")
        if not tensor.is_floating_point() or tensor.layout != torch.strided:
            raise CheckpointError(f"{name} is {tensor.dtype}, {tensor.layout}: required dense fp32, fp16 or bf16")
        weights[name] = tensor.detach().float().contiguous()
        if not weights[name].isfinite().all():
            raise CheckpointError(f"{name} contains values that are not finite: the model is broken")
    model.load_state_dict(weights, assign=True)
    return model.eval()


def _some(names: list[str]) -> str:
    """Return the first name, and how many more there are."""
    return f"{names[0]} is" if len(names) == 1 else f"{names[0]} and {len(names) - 1} more are"
