"""A checkpoint is as it was written, or is refused by one line that names the file."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from hlx_model.checkpoints import weights as checkpoints
from hlx_model.checkpoints.manifest import CheckpointError, CorpusVersion, Manifest, Parent, directory_name
from hlx_model.checkpoints.progress import Progress, read_state
from hlx_model.checkpoints.seal import list_checkpoints, newest_resumable, remove_checkpoint, verify_checkpoint
from hlx_model.files import digest_of, read_json, sha256_of
from hlx_model.model.sizes import SIZES
from hlx_model.model.tokenizer import VOCABULARY_SHA256
from hlx_model.model.transformer import Transformer
from tests.support import damage

REMEDY = ": use another checkpoint, or train that phase again"
FILES = ("model.safetensors", "optimizer.safetensors", "state.json")
MANIFEST = Manifest(
    kind="FINAL",
    phase=1,
    epoch=2,
    epochs=2,
    step=40,
    size="tiny",
    parameters=492_149,
    training_id="0123456789abcdef",
    settings={"phase": 1, "learning_rate": 0.003},
    vocabulary_sha256=VOCABULARY_SHA256,
    corpora={"english_corpus": CorpusVersion(data_version="77", path="corpora/english_corpus/77")},
    parent=Parent(training_id="fedcba9876543210", name="phase1_epoch10", phase=1, epoch=10, weights_sha256="00"),
    stopped=None,
    versions={"hlx": "0"},
    run_id=None,
    created="2025-12-18T00:00:00+00:00",
    weights_sha256="",
    files={},
)
MOMENTS = {"token_embedding.weight.exp_avg": torch.ones(3)}


@pytest.fixture(scope="module")
def model() -> Transformer:
    return Transformer(SIZES["tiny"]).initialize(seed=0)


@pytest.fixture(scope="module")
def whole(model: Transformer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint, to be read only."""
    return checkpoints.write_checkpoint(tmp_path_factory.mktemp("whole"), MANIFEST, model, Progress(epoch=3), MOMENTS)


@pytest.fixture
def found(whole: Path, tmp_path: Path) -> Path:
    """A copy of it, to damage."""
    return shutil.copytree(whole, tmp_path / whole.name)


def refusal(checkpoint: Path) -> str:
    """Return the one line that refuses a checkpoint."""
    with pytest.raises(CheckpointError) as error:
        verify_checkpoint(checkpoint)
    assert "\n" not in str(error.value)
    return str(error.value)


def reseal(checkpoint: Path, **changes: Any) -> None:
    """Change fields of a manifest, and record the files as they are now."""
    path = checkpoint / "manifest.json"
    files = {
        name: {"sha256": sha256_of(checkpoint / name), "bytes": (checkpoint / name).stat().st_size}
        for name in read_json(path)["files"]
    }
    damage.reseal(path, files=files, **changes)


def test_what_was_written_is_read_back(whole: Path, model: Transformer) -> None:
    manifest = verify_checkpoint(whole).manifest
    assert whole.name == "phase1_FINAL_epoch2"
    assert manifest == MANIFEST.replace(weights_sha256=sha256_of(whole / "model.safetensors"), files=manifest.files)
    assert sorted(manifest.files) == sorted(FILES)
    assert sorted(path.name for path in whole.iterdir()) == sorted((*FILES, "manifest.json"))
    loaded = checkpoints.load_model(verify_checkpoint(whole)).state_dict()
    assert all(torch.equal(tensor, loaded[name]) for name, tensor in model.state_dict().items())
    assert read_state(whole) == Progress(epoch=3)
    optimizer = checkpoints.load_optimizer(verify_checkpoint(whole))
    assert optimizer is not None and torch.equal(optimizer["token_embedding.weight.exp_avg"], torch.ones(3))


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("place", [0, 0.5, 1])
def test_one_changed_byte_is_found_in_every_file(found: Path, name: str, place: float) -> None:
    damage.flip(found / name, round(place * ((found / name).stat().st_size - 1)))
    assert refusal(found) == f"{found / name}: its SHA-256 is not the recorded one{REMEDY}"


@pytest.mark.parametrize("name", FILES)
def test_a_truncated_file_is_found(found: Path, name: str) -> None:
    length = (found / name).stat().st_size
    os.truncate(found / name, length - 1)
    assert refusal(found) == f"{found / name}: {length - 1} bytes, {length} were written{REMEDY}"


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(found: Path, name: str) -> None:
    (found / name).unlink()
    assert refusal(found) == f"{found / name}: the file is missing{REMEDY}"


def test_without_its_manifest_it_is_no_checkpoint(found: Path) -> None:
    (found / "manifest.json").unlink()
    assert "not a complete checkpoint (manifest.json is missing)" in refusal(found)
    assert list_checkpoints(found.parent) == []


def test_a_missing_checkpoint_is_named(tmp_path: Path) -> None:
    assert refusal(tmp_path / "phase1_epoch7") == f"{tmp_path / 'phase1_epoch7'}: no such checkpoint"


@pytest.mark.parametrize(
    "edit",
    [
        lambda text: text.replace('"epoch": 2', '"epoch": 3'),
        lambda text: text.replace('"stopped": null', '"stopped": "by hand"'),
        lambda text: text[:-20],
        lambda text: "",
        lambda text: "[]",
        lambda text: "{}",
        lambda text: "\ud800",
    ],
)
def test_an_edited_manifest_is_refused(found: Path, edit: Callable[[str], str]) -> None:
    path = found / "manifest.json"
    edited = edit(path.read_text()).encode(errors="surrogatepass")
    assert edited != path.read_bytes()
    path.write_bytes(edited)
    assert refusal(found).startswith(f"{path}: ")


def test_an_unknown_field_of_a_manifest_is_refused_by_its_name(found: Path) -> None:
    reseal(found, optimiser="adamw")
    assert "manifest.json: optimiser: Extra inputs are not permitted" in refusal(found)


def test_another_vocabulary_is_refused(found: Path) -> None:
    reseal(found, vocabulary_sha256="0" * 64)
    assert "another vocabulary" in refusal(found)


@pytest.mark.parametrize(("size", "reason"), [("3b", "its size '3b' is not one of tiny, 10m"), ("10m", "10m model")])
def test_weights_that_are_not_of_the_manifests_size_are_refused(found: Path, size: str, reason: str) -> None:
    reseal(found, size=size)
    with pytest.raises(CheckpointError, match=reason):
        checkpoints.load_model(verify_checkpoint(found))


class Trap:
    """Makes a folder if its pickle is loaded."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        return os.mkdir, (str(self.marker),)


def test_a_pickle_is_not_loaded_however_well_it_is_sealed(found: Path, tmp_path: Path) -> None:
    torch.save({"trap": Trap(tmp_path / "sprung")}, found / "model.safetensors")
    reseal(found)
    verify_checkpoint(found)
    with pytest.raises(CheckpointError, match=r"model\.safetensors: not the weights of a tiny model"):
        checkpoints.load_model(verify_checkpoint(found))
    assert not (tmp_path / "sprung").exists()


def test_the_newest_checkpoint_that_verifies_is_taken(model: Transformer, tmp_path: Path) -> None:
    assert newest_resumable(tmp_path, MANIFEST.training_id) is None
    paths = {
        step: checkpoints.write_checkpoint(
            tmp_path, MANIFEST.replace(kind="LAST", step=step), model, Progress(), MOMENTS
        )
        for step in (5, 10, 20)
    }
    # A checkpoint without moments is no place to resume from, and 5 steps are fewer than 10.
    checkpoints.write_checkpoint(tmp_path, MANIFEST.replace(kind="BEST", step=30), model, Progress(), None)
    assert [path.name for path in list_checkpoints(tmp_path)][-1] == "phase1_BEST_epoch2"
    (paths[20] / "state.json").write_text("{}")
    newest = newest_resumable(tmp_path, MANIFEST.training_id)
    assert newest is not None and (newest.path, newest.manifest.step) == (paths[10], 10)
    assert newest_resumable(tmp_path, "another") is None
    remove_checkpoint(paths[20])
    assert not paths[20].exists()


def test_the_manifests_say_which_checkpoint_is_the_newest(model: Transformer, tmp_path: Path) -> None:
    times = {"EPOCH": "2026-11-01T10:00:00+00:00", "BEST": "2026-11-01T11:00:00+00:00"}
    written = [
        checkpoints.write_checkpoint(
            tmp_path,
            MANIFEST.replace(kind=kind, step=7, created=times.get(kind, times["BEST"])),
            model,
            Progress(),
            None,
        )
        for kind in ("EPOCH", "BEST", "FINAL")
    ]
    assert list_checkpoints(tmp_path) == written
    for place, path in enumerate(written):  # touched, or copied by `cp -r`
        os.utime(path / "manifest.json", (1e9 - place, 1e9 - place))
    assert list_checkpoints(tmp_path) == written
    (written[2] / "manifest.json").write_text("{")
    assert list_checkpoints(tmp_path) == [written[2], *written[:2]]


def test_a_valid_checkpoint_of_the_same_name_is_kept(found: Path, model: Transformer) -> None:
    before = {path.name: (path.stat().st_ino, path.read_bytes()) for path in found.iterdir()}
    assert checkpoints.write_checkpoint(found.parent, MANIFEST, model, Progress(epoch=9), None) == found
    assert {path.name: (path.stat().st_ino, path.read_bytes()) for path in found.iterdir()} == before


def test_writing_again_replaces_a_damaged_checkpoint(found: Path, model: Transformer) -> None:
    os.truncate(found / "model.safetensors", 10)
    assert checkpoints.write_checkpoint(found.parent, MANIFEST, model, Progress(epoch=9), None) == found
    assert read_state(found) == Progress(epoch=9)
    assert checkpoints.load_optimizer(verify_checkpoint(found)) is None
    verify_checkpoint(found)


def test_directories_are_named_by_phase_kind_and_epoch() -> None:
    names = [directory_name(kind, 2, 7, 90) for kind in ("EPOCH", "BEST", "LAST", "FINAL", "STOPPED")]
    assert names == [
        "phase2_epoch7", "phase2_BEST_epoch7", "phase2_LAST_step90", "phase2_FINAL_epoch7", "phase2_STOPPED_epoch7",
    ]  # fmt: skip


def test_a_manifest_survives_json() -> None:
    content = json.loads(json.dumps(MANIFEST.to_json()))
    assert Manifest.from_json(content) == MANIFEST
    assert content["parent"] == {
        "training_id": "fedcba9876543210", "name": "phase1_epoch10", "phase": 1, "epoch": 10, "weights_sha256": "00",
        "verdict": None,
    }  # fmt: skip


def test_a_field_that_an_older_manifest_lacks_has_its_default() -> None:
    content = MANIFEST.to_json()
    del content["ungated"], content["digest"]
    assert Manifest.from_json({**content, "digest": digest_of(content)}) == MANIFEST
