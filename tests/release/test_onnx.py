"""A model that is exported as ONNX answers in ONNX Runtime as it does in PyTorch."""

import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hlx_model.checkpoints.seal import verify_checkpoint
from hlx_model.checkpoints.weights import load_model
from hlx_model.corpus import prompt
from hlx_model.language import Format
from hlx_model.layout import EXPORT_FOLDER, WEIGHTS
from hlx_model.model.generation import generate, greedy
from hlx_model.model.sizes import POSITIONS
from hlx_model.model.tokenizer import BOS, EOS, VOCABULARY_SHA256, VOCABULARY_SIZE, decode, encode
from hlx_model.model.transformer import Transformer
from hlx_model.provenance.record import record_of
from hlx_model.release import onnx_model
from hlx_model.release.card import card_of
from hlx_model.release.export import export
from hlx_model.release.verify import verify
from tests.support.command import Hlx
from tests.support.curriculum import Curriculum
from tests.support.damage import flip
from tests.support.once import made_once

PROMPTS = [
    "", "a", "Search", "{1000: {@0: ", "x" * 500,
    *(prompt(to, text) for to in (*Format, "English") for text in ("Sort all users", "Search for books by author")),
    prompt("English", '{1000: {@0: "books"}}'),
]  # fmt: skip
"""From none to nearly all positions."""


@pytest.fixture(scope="session")
def exported(curriculum: Curriculum, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Phase 3 as ONNX, where its packages are installed; to read."""
    for package in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(package)

    def make(folder: Path) -> None:
        export(curriculum.phases[3].checkpoint, folder / "brain", "onnx")

    return made_once(tmp_path_factory, "onnx", make) / "brain"


@pytest.fixture
def brain(exported: Path, tmp_path: Path) -> Path:
    """A copy of it, to change."""
    return Path(shutil.copytree(exported, tmp_path / "brain"))


@pytest.fixture
def model(curriculum: Curriculum) -> Transformer:
    return load_model(verify_checkpoint(curriculum.phases[3].checkpoint))


def session(folder: Path) -> Any:
    return pytest.importorskip("onnxruntime").InferenceSession(folder / "model.onnx")


def logits_of(brain: Any, tokens: torch.Tensor) -> torch.Tensor:
    (logits,) = brain.run(["logits"], {"tokens": tokens.numpy()})
    return torch.from_numpy(logits)


def written(brain: Any, text: str, most: int) -> str:
    """What ONNX Runtime writes greedily, symbol by symbol."""
    tokens = [BOS, *encode(text)]
    start = len(tokens)
    while len(tokens) < min(start + most, POSITIONS):
        (token,) = greedy(logits_of(brain, torch.tensor([tokens]))[:, -1]).tolist()
        if token == EOS:
            break
        tokens.append(token)
    return decode(tokens[start:])


def test_greedy_answers_are_those_of_pytorch(exported: Path, model: Transformer) -> None:
    brain = session(exported)
    assert [written(brain, text, 80) for text in PROMPTS] == generate(model, PROMPTS, max_new_tokens=80)


@pytest.mark.parametrize(("rows", "length"), [(1, 1), (1, 2), (1, 77), (3, 1), (5, 60), (1, 512), (2, 512)])
def test_logits_are_those_of_pytorch(exported: Path, model: Transformer, rows: int, length: int) -> None:
    tokens = torch.randint(VOCABULARY_SIZE, (rows, length), generator=torch.Generator().manual_seed(rows * length))
    with torch.no_grad():
        expected = model(tokens)
    found = logits_of(session(exported), tokens)
    assert found.shape == expected.shape == (rows, length, 117) and found.dtype == torch.float32
    assert (found - expected).abs().max() < 1e-4


def test_more_positions_than_the_model_has_are_refused(exported: Path) -> None:
    tokens = {"tokens": np.ones((1, POSITIONS + 1), dtype=np.int64)}
    with pytest.raises(Exception, match="512 by 513"):
        session(exported).run(None, tokens)


def test_the_folder_is_complete_and_the_file_names_its_checkpoint(exported: Path, curriculum: Curriculum) -> None:
    assert {path.name for path in exported.iterdir()} == {
        "model.onnx", "config.json", "vocabulary.json", "README.md", "manifest.json", "report.json", "verdict.json",
        "provenance.json",
    }  # fmt: skip
    assert EXPORT_FOLDER.describes(exported) and all(EXPORT_FOLDER.has(path.name) for path in exported.iterdir())
    brain, three = session(exported), curriculum.phases[3]
    assert brain.get_modelmeta().custom_metadata_map == {
        "hlx_checkpoint": f"{three.outcome.manifest.training_id}/{three.checkpoint.name}",
        "hlx_vocabulary_sha256": VOCABULARY_SHA256,
    }
    ((given,), (made,)) = brain.get_inputs(), brain.get_outputs()
    assert (given.name, given.type, given.shape) == ("tokens", "tensor(int64)", ["batch", "time"])
    assert (made.name, made.type, made.shape) == ("logits", "tensor(float)", ["batch", "time", 117])
    assert str(Path(onnx_model.__file__).parents[1]).encode() not in (exported / "model.onnx").read_bytes()


def test_the_program_in_the_card_gives_the_answer_of_the_model(
    exported: Path, curriculum: Curriculum, model: Transformer, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    text = (exported / "README.md").read_text(encoding="utf-8")
    program = text.partition("```python\n")[2].partition("```")[0]
    assert "hlx_model" not in program and "--checkpoint ." not in text
    asked = program.partition("symbols.index, ")[2].partition(")]")[0]
    monkeypatch.chdir(exported)
    exec(program, {})
    answer = generate(model, [eval(asked)], max_new_tokens=200)[0]
    assert capsys.readouterr().out == f"{answer}\n"
    card = card_of(record_of(curriculum.phases[2].checkpoint), "model.onnx")
    assert "symbols.index, '{1000: {@0: ')]" in card


def test_verify_finds_a_changed_file(hlx: Hlx, brain: Path) -> None:
    assert not [link for link in verify(brain) if link.outcome == "broken"]
    assert hlx("lineage", "verify", brain).code == 0
    flip(brain / "model.onnx")
    ran = hlx("lineage", "verify", brain)
    assert ran.code == 1 and "model.onnx: changed" in ran.out


def test_commands_that_need_other_weights_say_so(hlx: Hlx, brain: Path, curriculum: Curriculum) -> None:
    said = f"error: {brain}: its weights are in model.onnx, which is not read here: export it as safetensors"
    for arguments in (("translate", "Sort all users"), ("validate", "--corpus", curriculum.document)):
        ran = hlx(*arguments, "--checkpoint", brain)
        assert ran.code == 1 and ran.out == "" and ran.err == f"{said}\n"
    assert not brain.with_name("brain.report").exists()


@pytest.mark.parametrize("package", ["onnx", "onnxscript", "onnxruntime"])
def test_a_missing_package_is_one_line(
    hlx: Hlx, curriculum: Curriculum, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    for name in ("onnx", "onnxscript", "onnxruntime"):
        monkeypatch.setitem(sys.modules, name, None if name == package else sys)
    ran = hlx("export", curriculum.phases[1].checkpoint, tmp_path / "folder", "--format", "onnx")
    assert ran.code == 1 and ran.out == "" and ran.err == f"{ran.error}\n" and package in ran.error
    assert ran.error.endswith("pip install -c constraints.txt -e '.[onnx]'") and list(tmp_path.iterdir()) == []


def test_a_model_that_is_too_large_for_a_file_is_refused(
    hlx: Hlx, curriculum: Curriculum, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx_model, "MOST_BYTES", 4 * 492_149 - 1)
    ran = hlx("export", curriculum.phases[1].checkpoint, tmp_path / "folder", "--format", "onnx")
    assert ran.code == 1 and ran.error.endswith(": use --format safetensors") and list(tmp_path.iterdir()) == []


def test_a_file_that_answers_otherwise_is_not_kept(
    hlx: Hlx, exported: Path, curriculum: Curriculum, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As if the exporter had written the model of phase 3 for that of phase 1.
    monkeypatch.setattr(onnx_model, "_export", lambda model, path, metadata: shutil.copy(exported / path.name, path))
    export(curriculum.phases[3].checkpoint, tmp_path / "right", "onnx")
    ran = hlx("export", curriculum.phases[1].checkpoint, tmp_path / "wrong", "--format", "onnx")
    assert ran.code == 1 and "as ONNX it answers '[HLXL] Search for documents → ' otherwise than " in ran.error
    assert not (tmp_path / "wrong").exists() and WEIGHTS not in {path.name for path in exported.iterdir()}
