"""`hlx validate` and `hlx translate` judge an exported folder as the checkpoint that it was exported from."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from hlx_model.evaluation.verdict import Verdict
from hlx_model.files import read_json
from hlx_model.layout import Artifacts
from hlx_model.release.export import export
from tests.support.command import Hlx
from tests.support.curriculum import Curriculum, copied, stopped
from tests.support.damage import flip, reseal

UNRECORDED = {"reported_loss", "not_forgotten"}
"""Gates that compare with figures which an exported folder does not contain."""


@pytest.fixture
def brain(curriculum: Curriculum, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The exported folder of phase 1, in an empty folder, which is the current one."""
    monkeypatch.chdir(tmp_path)
    export(curriculum.phases[1].checkpoint, Path("brain"))
    return Path("brain")


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def by_name(report: Any) -> dict[str, Any]:
    return {gate["name"]: gate for gate in report["gates"]}


@pytest.mark.parametrize(("phase", "format"), [(1, "safetensors"), (1, "pt"), (3, "safetensors")])
def test_it_gets_the_results_of_its_checkpoint(
    hlx: Hlx, curriculum: Curriculum, tmp_path: Path, phase: int, format: str
) -> None:
    one, folder = curriculum.phases[phase], tmp_path / "brain.v1"
    export(one.checkpoint, folder, format)
    before = contents(folder)
    ran = hlx(
        "validate", "--checkpoint", f"{folder}/", "--corpus", curriculum.document, "--device", "cpu", "--json"
    )  # fmt: skip
    report, ours = json.loads(ran.out), one.evaluation.report.to_json()
    found, expected = by_name(report), by_name(ours)
    assert ran.code == {"pass": 0, "warn": 2}[report["outcome"]] and list(found) == list(expected)
    for name in found.keys() - UNRECORDED:
        assert found[name] == expected[name]
    assert {found[name]["outcome"] for name in UNRECORDED & found.keys()} == {"warn"}
    for name in ("checkpoint", "weights_sha256", "phase", "size", "epoch", "epochs", "step", "kind"):
        assert report[name] == ours[name]
    assert contents(folder) == before and {path.name for path in tmp_path.iterdir()} == {"brain.v1", "brain.v1.report"}
    assert Verdict.read(tmp_path / "brain.v1.report").outcome == report["outcome"]


def test_it_needs_a_corpus_and_says_which(hlx: Hlx, brain: Path, curriculum: Curriculum) -> None:
    before = contents(brain)
    for options, said in (
        ((), "brain: an exported folder does not contain its corpus (small.md): pass it with --corpus"),
        (
            ("--corpus", curriculum.document, "--phase", 3),
            "brain: its manifest.json names phase and size: omit --phase",
        ),
        (
            ("--corpus", curriculum.document, "--heads", 4),
            "brain: its manifest.json names phase and size: omit --phase",
        ),
        (("--corpus", "none.md"), "none.md"),
    ):
        ran = hlx("validate", "--checkpoint", brain, *options)
        assert ran.code == 1 and ran.out == "" and ran.err == f"{ran.error}\n" and said in ran.error
    assert contents(brain) == before and not Path("brain.report").exists()


def test_from_inside_the_report_is_beside_it_too(
    hlx: Hlx, brain: Path, curriculum: Curriculum, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, before = Path.cwd(), contents(brain)
    monkeypatch.chdir(brain)
    ran = hlx("validate", "--checkpoint", ".", "--corpus", curriculum.document, "--device", "cpu")
    assert ran.code == 2 and f"report: {here / 'brain.report' / 'report.html'}" in ran.out
    assert contents(here / "brain") == before


def test_a_kept_corpus_gives_the_same_report(hlx: Hlx, brain: Path, curriculum: Curriculum) -> None:
    version = curriculum.phases[1].outcome.manifest.corpora["english_corpus"]
    command = ("validate", "--checkpoint", brain, "--device", "cpu", "--json", "--corpus")
    kept, read = (hlx(*command, corpus) for corpus in (curriculum.root / version.path, curriculum.document))
    assert kept.code == read.code == 2 and json.loads(kept.out) == json.loads(read.out)


def test_another_corpus_than_its_own_is_named(
    hlx: Hlx, brain: Path, curriculum: Curriculum, caplog: pytest.LogCaptureFixture
) -> None:
    lines = curriculum.document.read_text(encoding="utf-8").replace("documents", "papers")
    Path("other.md").write_text(lines, encoding="utf-8")
    hlx("validate", "--checkpoint", brain, "--device", "cpu", "--corpus", curriculum.document)
    assert "learned" not in caplog.text
    assert hlx("validate", "--checkpoint", brain, "--device", "cpu", "--corpus", "other.md").code in (1, 2)
    own = curriculum.phases[1].outcome.manifest.corpora["english_corpus"].data_version
    assert f"brain learned english_corpus {own[:12]}, and is evaluated on " in caplog.text


@pytest.mark.parametrize(
    ("format", "name", "said"),
    [
        ("safetensors", "model.safetensors", "model.safetensors: its SHA-256 is not the recorded one"),
        ("pt", "model.pt", "model.pt: "),
        ("safetensors", "manifest.json", "manifest.json: "),
    ],
)
def test_changed_weights_are_refused(
    hlx: Hlx, curriculum: Curriculum, tmp_path: Path, format: str, name: str, said: str
) -> None:
    export(curriculum.phases[1].checkpoint, tmp_path / "brain", format)
    flip(tmp_path / "brain" / name)
    ran = hlx("validate", "--checkpoint", tmp_path / "brain", "--corpus", curriculum.document)
    assert ran.code == 1 and ran.out == "" and ran.err == f"{ran.error}\n" and said in ran.error
    assert [path.name for path in tmp_path.iterdir()] == ["brain"]


def test_swapped_pt_weights_are_refused(hlx: Hlx, curriculum: Curriculum, tmp_path: Path) -> None:
    for phase in (1, 2):
        export(curriculum.phases[phase].checkpoint, tmp_path / str(phase), "pt")
    shutil.copyfile(tmp_path / "1" / "model.pt", tmp_path / "2" / "model.pt")
    ran = hlx("validate", "--checkpoint", tmp_path / "2", "--corpus", curriculum.document)
    assert ran.code == 1 and "model.pt: its SHA-256 is not the one in provenance.json: export it again" in ran.error


def test_a_stopped_training_is_still_stopped(hlx: Hlx, small_document: Path, tmp_path: Path) -> None:
    checkpoint = stopped(small_document, tmp_path / "artifacts")
    export(checkpoint, tmp_path / "brain")
    ran = hlx("validate", "--checkpoint", tmp_path / "brain", "--corpus", small_document, "--json")
    found = by_name(json.loads(ran.out))
    assert ran.code == 1 and found["training_completed"]["outcome"] == "fail"
    assert found["training_completed"]["reason"].startswith("stopped at epoch ")


def test_translate_and_validate_agree(
    hlx: Hlx, curriculum: Curriculum, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    brain, copy = Path("brain"), copied(curriculum, tmp_path / "home" / "artifacts", 3)
    translate = ("translate", "Sort all users", "--checkpoint", brain)
    export(copy, brain)
    assert ": verdict warn, learned by heart" in hlx(*translate).err
    # Exported with older gates: the advice of one command leads to what the other one reads.
    reseal(Artifacts.of_checkpoint(copy).report(copy) / "verdict.json", gates_version="5-00000000")
    shutil.rmtree(brain)
    export(copy, brain)
    advised = hlx(*translate).err
    assert "it was not judged by new gates" in advised and f"`hlx validate --checkpoint {brain}`" in advised
    assert hlx("validate", "--checkpoint", brain, "--corpus", curriculum.document, "--device", "cpu").code == 2
    assert ": verdict warn, learned by heart" in hlx(*translate).err
    # A report beside it on other weights is not its own.
    reseal(Path("brain.report/verdict.json"), weights_sha256="0" * 64)
    assert "it was not judged by new gates" in hlx(*translate).err
    assert read_json(brain / "verdict.json")["gates_version"] == "5-00000000"


def test_a_second_report_does_not_replace_what_it_is_on(hlx: Hlx, brain: Path, curriculum: Curriculum) -> None:
    command = ("validate", "--checkpoint", brain, "--corpus", curriculum.document, "--device", "cpu")
    for output in ("brain/report.json", "brain/new.json", "brain.report/new.json", "brain.report", "brain"):
        Path("brain.report").mkdir(exist_ok=True)
        ran = hlx(*command, "--output", output)
        assert ran.code == 1 and ran.out == "" and ran.error.startswith(f"error: {output}: ")
    Path("brain.report").rmdir()
    Path("brain.report").write_text("of a user")
    assert "brain.report: a file, but a folder is written: copy brain into another folder" in hlx(*command).error
