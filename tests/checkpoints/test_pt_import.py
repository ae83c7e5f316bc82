"""A .pt file is imported exactly, or refused in one line; nothing in it is ever run."""

import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from hlx_model.checkpoints import pt_import
from hlx_model.checkpoints.manifest import CheckpointError
from hlx_model.files import sha256_of
from hlx_model.model.sizes import SIZES, Architecture
from hlx_model.model.tokenizer import SYMBOLS
from tests.support.pt_model import UsersModel

SMALL = Architecture(d_model=24, layers=3, heads=4, ffn=40)


def users_model(a: Architecture = SMALL, positions: int = 512, vocabulary: int = 117) -> UsersModel:
    """Return one with random weights, so that each has an effect."""
    model = UsersModel(a, positions, vocabulary).eval()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=0.05)
    return model


def saved(tmp_path: Path, content: Any, **options: Any) -> Path:
    path = tmp_path / "users.pt"
    torch.save(content, path, **options)
    return path


def ids(*shape: int) -> Tensor:
    return torch.randint(4, 117, shape, generator=torch.Generator().manual_seed(2))


def refusal(path: Path, heads: int | None = 4) -> str:
    """Return the one line that refuses a file and names it."""
    with pytest.raises(CheckpointError) as refused:
        pt_import.load_pt(path, heads)
    said = str(refused.value)
    assert said.startswith(f"{path}: ") and "\n" not in said
    return said


@pytest.mark.parametrize(
    ("a", "heads"),
    [
        (SIZES["tiny"], None),
        (SIZES["10m"], None),
        (SMALL, 4),
        (Architecture(24, 3, 1, 40), 1),
        (Architecture(24, 3, 24, 40), 24),
        (Architecture(64, 1, 8, 32), 8),
        # The shapes of tiny, with other heads than the table's.
        (Architecture(128, 2, 8, 512), 8),
    ],
)
def test_the_logits_are_those_of_the_users_model(tmp_path: Path, a: Architecture, heads: int | None) -> None:
    theirs = users_model(a)
    ours = pt_import.load_pt(saved(tmp_path, theirs.state_dict()), heads).model
    assert ours.architecture == a and not ours.training
    with torch.no_grad():
        for length in (1, 70, 512):
            # Both sum in float32, each in its own order: what differs is a few units of 1e-5.
            torch.testing.assert_close(ours(ids(2, length)), theirs(ids(2, length)), atol=1e-4, rtol=1e-4)


def test_other_heads_would_give_other_logits(tmp_path: Path) -> None:
    """The shapes do not determine the number of heads."""
    path = saved(tmp_path, users_model().state_dict())
    with torch.no_grad():
        four, two = (pt_import.load_pt(path, heads).model(ids(1, 20)) for heads in (4, 2))
    assert not torch.allclose(four, two, atol=1e-2)


def in_training(state: dict[str, Tensor]) -> dict[str, Any]:
    parameters = [nn.Parameter(tensor.clone()) for tensor in state.values()]
    optimizer = torch.optim.AdamW(parameters)
    for parameter in parameters:
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    return {
        "epoch": 10,
        "loss": 0.5,
        "model_state_dict": state,
        "optimizer_state_dict": optimizer.state_dict(),
        "config": {"name": "small", "layers": 3},
        "vocab": {symbol: index for index, symbol in enumerate(SYMBOLS)},
    }


@pytest.mark.parametrize(
    "held",
    [
        in_training,
        lambda state: {"state_dict": state},
        lambda state: {"model": state, "vocabulary": list(SYMBOLS)},
        lambda state: {"model": state, "tokenizer": {"itos": dict(enumerate(SYMBOLS))}},
        lambda state: {f"module.{name}": tensor for name, tensor in state.items()},
        lambda state: {"model": {f"_orig_mod.module.{name}": tensor for name, tensor in state.items()}},
    ],
)
def test_the_weights_are_found_wherever_trainers_put_them(tmp_path: Path, held: Callable[[Any], Any]) -> None:
    state = users_model().state_dict()
    path = saved(tmp_path, held(state))
    found = pt_import.load_pt(path, 4)
    assert found.sha256 == sha256_of(path)
    assert all(torch.equal(tensor, state[name]) for name, tensor in found.model.state_dict().items())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_weights_of_another_precision_become_fp32(tmp_path: Path, dtype: torch.dtype) -> None:
    state = {name: tensor.to(dtype) for name, tensor in users_model().state_dict().items()}
    model = pt_import.load_pt(saved(tmp_path, state), 4).model
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    assert all(torch.equal(tensor, state[name].float()) for name, tensor in model.state_dict().items())


def test_the_format_of_old_releases_is_read_too(tmp_path: Path) -> None:
    path = saved(tmp_path, users_model().state_dict(), _use_new_zipfile_serialization=False)
    assert pt_import.load_pt(path, 4).model.architecture == SMALL


def test_a_known_size_has_a_name_and_another_one_its_numbers(tmp_path: Path) -> None:
    assert pt_import.load_pt(saved(tmp_path, users_model(SIZES["tiny"]).state_dict())).size == "tiny"
    small = pt_import.load_pt(saved(tmp_path, users_model().state_dict()), 4)
    assert small.size == "24 wide, 3 layers, 4 heads, 40 feed-forward"


def test_unknown_heads_must_be_named_and_the_possible_ones_are_listed(tmp_path: Path) -> None:
    said = refusal(saved(tmp_path, users_model().state_dict()), heads=None)
    assert "24 wide, 3 layers, 40 feed-forward" in said
    assert said.endswith("name it with --heads, one of 1, 2, 3, 4, 6, 8, 12, 24")


@pytest.mark.parametrize("heads", [5, 0, -4, 48])
def test_heads_that_do_not_divide_the_width_are_refused(tmp_path: Path, heads: int) -> None:
    said = refusal(saved(tmp_path, users_model().state_dict()), heads)
    assert f"--heads is {heads}: a model 24 wide can have 1, 2, 3, 4, 6, 8, 12, 24" in said


class Touches:
    """A pickle can name a function to call when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("wrap", [lambda evil, state: evil, lambda evil, state: {**state, "extra": evil}])
def test_no_function_that_a_pickle_names_is_called(tmp_path: Path, wrap: Callable[[Any, Any], Any]) -> None:
    content = wrap(Touches(tmp_path / "touched"), users_model().state_dict())
    plain = tmp_path / "plain.pt"
    plain.write_bytes(pickle.dumps(content, protocol=2))
    zipped = saved(tmp_path, content)
    old = tmp_path / "old.pt"
    torch.save(content, old, _use_new_zipfile_serialization=False)
    for path in (plain, zipped, old):
        said = refusal(path)
        assert "never loaded: save its weights alone, with torch.save(model.state_dict(), PATH)" in said
        assert "mkdir" in said or path == plain  # whose first request may be the tensors' own
    assert not (tmp_path / "touched").exists()
    plain.write_bytes(pickle.dumps(content))
    assert "another pickle" in refusal(plain)
    assert not (tmp_path / "touched").exists()
    # The trap would have been seen: called as an unpickler calls it, it touches.
    call, arguments = Touches(tmp_path / "touched").__reduce__()
    call(*arguments)
    assert (tmp_path / "touched").exists()


def test_a_whole_module_is_refused_with_the_way_to_save_its_weights(tmp_path: Path) -> None:
    said = refusal(saved(tmp_path, users_model()))
    assert "UsersModel" in said and said.endswith("save its weights alone, with torch.save(model.state_dict(), PATH)")


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def other_zip(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("report.txt", "no weights")


def torch_script(path: Path) -> None:
    traced = torch.jit.trace(nn.Linear(2, 2), torch.ones(1, 2))  # type: ignore[no-untyped-call]
    torch.jit.save(traced, path)


@pytest.mark.parametrize(
    "spoil",
    [
        cut,
        other_zip,
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"\x80\x02]q\x00"),
        lambda path: path.write_text("# a document\n"),
        lambda path: path.write_bytes(bytes(range(256)) * 8),
        lambda path: torch_script(path),
    ],
    ids=["cut", "other zip", "empty", "cut pickle", "text", "noise", "TorchScript"],
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_file_that_is_no_whole_checkpoint_is_refused(tmp_path: Path, spoil: Callable[[Path], object]) -> None:
    path = saved(tmp_path, users_model().state_dict())
    spoil(path)
    assert "not a file that torch.save wrote, or an incomplete one" in refusal(path)


def renamed(state: dict[str, Tensor], old: str, new: str) -> dict[str, Tensor]:
    return {name.replace(old, new): tensor for name, tensor in state.items()}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda s: [1, 2], "contains a value of type list, not a state dict"),
        (lambda s: {"epoch": 3}, "under model_state_dict, state_dict, model or by itself (it contains epoch)"),
        (lambda s: {}, "(it contains nothing)"),
        (lambda s: {"model": {}}, "(it contains nothing)"),
        (lambda s: renamed(s, "token_embedding", "wte"), "token_embedding.weight is missing"),
        (lambda s: renamed(s, "linear1", "fc1"), "transformer.layers.0.linear1.weight is missing"),
        (lambda s: renamed(s, "layers.1.", "layers.7."), "layers.1.self_attn.in_proj_weight and 11 more are missing"),
        (lambda s: {k: v for k, v in s.items() if k != "output_projection.bias"}, "output_projection.bias is missing"),
        (lambda s: s | {"transformer.norm.weight": torch.ones(24)}, "transformer.norm.weight is in it, which an HLX"),
        (lambda s: s | {"output_projection.weight": torch.ones(24, 117)}, "the shape (24, 117), required (117, 24)"),
        (lambda s: s | {"token_embedding.weight": torch.ones(117)}, "the shape (117,), required two numbers"),
        (lambda s: s | {"token_embedding.weight": torch.tensor(1.0)}, "the shape (), required two numbers"),
        (lambda s: s | {"token_embedding.weight": torch.ones(117, 24, dtype=torch.int8)}, "is torch.int8"),
        (lambda s: s | {"token_embedding.weight": torch.ones(117, 24).to_sparse()}, "torch.sparse_coo"),
        (lambda s: s | {"output_projection.bias": torch.full((117,), torch.nan)}, "output_projection.bias contains"),
        (lambda s: s | {"output_projection.bias": torch.full((117,), 1e60, dtype=torch.float64)}, "are not finite"),
        (lambda s: {"model": s, "vocab": [*SYMBOLS[:-1]]}, "its vocab has 116 symbols, and id 116 is None: required"),
        (lambda s: {"model": s, "vocab": [*SYMBOLS[1:], "<PAD>"]}, "id 0 is '<BOS>': required 117 symbols, with"),
        (lambda s: {"model": s, "stoi": {"a": 0}}, "its stoi has 1 symbols, and id 0 is 'a'"),
        (lambda s: {"model": s, "tokenizer": {"vocab": [*SYMBOLS, "é"]}}, "118 symbols, and id 117 is 'é'"),
    ],
)  # fmt: skip
def test_what_is_not_such_a_model_is_refused(tmp_path: Path, change: Callable[[Any], Any], said: str) -> None:
    assert said in refusal(saved(tmp_path, change(dict(users_model().state_dict()))))


@pytest.mark.parametrize(
    ("positions", "vocabulary", "said"),
    [
        (128, 117, "128 positions, required 512"),
        (1024, 117, "1024 positions, required 512"),
        (512, 256, "a vocabulary of 256 symbols, required 117"),
    ],
)
def test_another_vocabulary_or_number_of_positions_is_refused(
    tmp_path: Path, positions: int, vocabulary: int, said: str
) -> None:
    assert said in refusal(saved(tmp_path, users_model(SMALL, positions, vocabulary).state_dict()))


def test_a_missing_file_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        pt_import.load_pt(tmp_path / "nowhere.pt")
