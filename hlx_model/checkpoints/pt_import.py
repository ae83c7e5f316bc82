"""The users' own checkpoints, taken up: a state dict that `torch.save` wrote, and nothing but its weights.

    weights = foreign.load(Path("checkpoints/phase1_FINAL_epoch200.pt"))

The file may be the state dict, or hold it beside an optimizer's state, epochs and losses, which are passed
over. It is read with `weights_only=True`: what a pickle asks to be called is never called.
"""

import pickle
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hlx_model.checkpoints.manifest import CheckpointError
from hlx_model.files import sha256_of
from hlx_model.model.sizes import POSITIONS, SIZES, Architecture
from hlx_model.model.tokenizer import SYMBOLS, VOCABULARY_SIZE
from hlx_model.model.transformer import Transformer

HOLDERS = ("model_state_dict", "state_dict", "model")
"""The keys under which a checkpoint holds its state dict."""
PREFIXES = ("module.", "_orig_mod.")
"""What `DistributedDataParallel` and `torch.compile` put before every name."""
VOCABULARIES = ("vocabulary", "vocab", "stoi", "itos", "char_to_id", "id_to_char", "token_to_id", "id_to_token")
"""The keys under which a checkpoint may hold its symbols: in their order, or with their ids."""
_SAVE_AGAIN = "save its weights alone, with torch.save(model.state_dict(), PATH)"
_LAYER = re.compile(r"transformer\.layers\.(\d+)\.")


@dataclass(frozen=True)
class ImportedModel:
    """A model that was taken up from a file."""

    model: Transformer
    """On the CPU, in fp32, not in training."""
    sha256: str
    """Of the file."""

    @property
    def size(self) -> str:
        """The name of its size; where the table has none, its four numbers."""
        a = self.model.architecture
        named = {architecture: name for name, architecture in SIZES.items()}
        return named.get(a, f"{a.d_model} wide, {a.layers} layers, {a.heads} heads, {a.ffn} feed-forward")


def load_pt(path: Path, heads: int | None = None) -> ImportedModel:
    """The model in a file of the users'.

    Args:
        path: a `.pt` file.
        heads: attention heads, which no shape tells; None takes those of the size of the same shapes.

    Raises:
        CheckpointError: the file holds more than data, or not the weights of such a model; says what is wrong.
        OSError: it cannot be read.
    """
    content = _read(path)
    state = _without_prefixes(_state_dict(path, content))
    _require_vocabulary(path, content)
    architecture = _architecture(path, state, heads)
    model = _fitted(path, state, architecture)
    return ImportedModel(model, sha256_of(path))


def _read(path: Path) -> Any:
    with path.open("rb") as file, warnings.catch_warnings():
        # Of some files torch warns before it refuses them.
        warnings.simplefilter("ignore")
        try:
            return torch.load(file, map_location="cpu", weights_only=True)
        except pickle.UnpicklingError as error:
            if asked := re.search(r"GLOBAL (\S+)", str(error)):
                raise CheckpointError(
                    f"{path}: holds more than weights ({asked[1]}), which is never loaded: {_SAVE_AGAIN}"
                ) from None
            raise _unreadable(path, "a pickle of something else") from None
        except Exception as error:  # whatever bytes that are no checkpoint lead torch to
            reason = f"{type(error).__name__}: {' '.join(str(error).split())}"[:120]
            raise _unreadable(path, reason) from None


def _unreadable(path: Path, reason: str) -> CheckpointError:
    return CheckpointError(f"{path}: not a file that torch.save wrote, or not all of it ({reason}): {_SAVE_AGAIN}")


def _state_dict(path: Path, content: Any) -> Mapping[str, Tensor]:
    found = content
    if isinstance(content, Mapping):
        found = next((content[key] for key in HOLDERS if isinstance(content.get(key), Mapping)), content)
    if not isinstance(found, Mapping):
        raise CheckpointError(f"{path}: holds a value of type {type(found).__name__}, no state dict: {_SAVE_AGAIN}")
    strange = [name for name, value in found.items() if not (isinstance(name, str) and isinstance(value, Tensor))]
    if strange or not found:
        names = ", ".join(map(str, list(found)[:6])) or "nothing"
        raise CheckpointError(f"{path}: no state dict under {', '.join(HOLDERS)} or by itself (it holds {names})")
    return found


def _without_prefixes(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    names = dict(state)
    while prefix := next((p for p in PREFIXES if all(name.startswith(p) for name in names)), None):
        names = {name.removeprefix(prefix): tensor for name, tensor in names.items()}
    return names


def _require_vocabulary(path: Path, content: Any) -> None:
    """Raise `CheckpointError` where the file names symbols, and they are not this program's."""
    if not isinstance(content, Mapping):
        return
    tokenizer = content.get("tokenizer")
    for holder in (content, tokenizer if isinstance(tokenizer, Mapping) else {}):
        for key in VOCABULARIES:
            symbols = _by_id(holder.get(key))
            if symbols is not None and symbols != dict(enumerate(SYMBOLS)):
                wrong = next(i for i in range(max(len(SYMBOLS), len(symbols))) if symbols.get(i) != _symbol(i))
                raise CheckpointError(
                    f"{path}: its {key} has {len(symbols)} symbols and gives id {wrong} to {symbols.get(wrong)!r}, "
                    f"where this program's {VOCABULARY_SIZE} have {_symbol(wrong)!r}: it cannot be judged here"
                )


def _symbol(index: int) -> str | None:
    return SYMBOLS[index] if index < len(SYMBOLS) else None


def _by_id(vocabulary: Any) -> dict[Any, Any] | None:
    """A vocabulary as symbols by id, from whichever of its forms; None for what is none."""
    if isinstance(vocabulary, list | tuple):
        return dict(enumerate(vocabulary))
    if isinstance(vocabulary, Mapping):
        by_id = {key: value for key, value in vocabulary.items() if isinstance(key, int)}
        return by_id or {value: key for key, value in vocabulary.items() if isinstance(value, int)}
    return None


def _architecture(path: Path, state: Mapping[str, Tensor], heads: int | None) -> Architecture:
    """What the shapes tell, with the heads that are asked for or those of the size table."""
    vocabulary, d_model = _matrix(path, state, "token_embedding.weight")
    positions, _ = _matrix(path, state, "position_embedding.weight")
    ffn, _ = _matrix(path, state, "transformer.layers.0.linear1.weight")
    if vocabulary != VOCABULARY_SIZE:
        raise CheckpointError(
            f"{path}: a vocabulary of {vocabulary} symbols, where this program's has {VOCABULARY_SIZE}"
        )
    if positions != POSITIONS:
        raise CheckpointError(f"{path}: {positions} positions, where this program's models have {POSITIONS}")
    layers = len({layer[1] for name in state if (layer := _LAYER.match(name))})
    if heads is None:
        of_size = [a.heads for a in SIZES.values() if (a.d_model, a.layers, a.ffn) == (d_model, layers, ffn)]
        if not of_size:
            raise CheckpointError(
                f"{path}: its shapes ({d_model} wide, {layers} layers, {ffn} feed-forward) are of no size in the "
                f"table, and do not tell the number of heads: name it with --heads, one of {_divisors(d_model)}"
            )
        heads = of_size[0]
    if heads < 1 or d_model % heads:
        raise CheckpointError(f"{path}: --heads is {heads}: a model {d_model} wide can have {_divisors(d_model)}")
    return Architecture(d_model, layers, heads, ffn)


def _divisors(number: int) -> str:
    return ", ".join(str(d) for d in range(1, number + 1) if number % d == 0)


def _matrix(path: Path, state: Mapping[str, Tensor], name: str) -> tuple[int, int]:
    if name not in state:
        raise CheckpointError(f"{path}: {name} is missing (its first is {next(iter(state))}): not a model of ours")
    rows, *columns = state[name].shape or (0,)
    if len(columns) != 1:
        raise CheckpointError(
            f"{path}: {name} has the shape {tuple(state[name].shape)}, where two numbers are expected"
        )
    return rows, columns[0]


def _fitted(path: Path, state: Mapping[str, Tensor], a: Architecture) -> Transformer:
    """The model of these weights, in fp32; each must have the name and shape that such a model asks for."""
    with torch.device("meta"):
        model = Transformer(a)
    expected = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    if missing := [name for name in expected if name not in state]:
        raise CheckpointError(f"{path}: {_some(missing)} missing from a model of {a.layers} layers")
    if unexpected := [name for name in state if name not in expected]:
        raise CheckpointError(f"{path}: {_some(unexpected)} in it, which a model of ours does not have")
    weights: dict[str, Tensor] = {}
    for name, shape in expected.items():
        tensor = state[name]
        if tuple(tensor.shape) != shape:
            raise CheckpointError(f"{path}: {name} has the shape {tuple(tensor.shape)}, where {shape} is expected")
        if not tensor.is_floating_point() or tensor.layout != torch.strided:
            raise CheckpointError(f"{path}: {name} is of {tensor.dtype}, {tensor.layout}: dense fp32, fp16 or bf16 is")
        weights[name] = tensor.detach().float().contiguous()
        if not weights[name].isfinite().all():
            raise CheckpointError(f"{path}: {name} holds values that are no finite numbers: the model is broken")
    model.load_state_dict(weights, assign=True)
    return model.eval()


def _some(names: list[str]) -> str:
    """One name, and how many more there are."""
    return f"{names[0]} is" if len(names) == 1 else f"{names[0]} and {len(names) - 1} more are"
