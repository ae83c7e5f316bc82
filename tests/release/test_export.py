"""An exported folder is complete, usable by itself, and says what it was made from and whether it passed."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from hlx_model.checkpoints import pt_import
from hlx_model.checkpoints import weights as checkpoints
from hlx_model.checkpoints.manifest import CheckpointError
from hlx_model.checkpoints.seal import verify_checkpoint
from hlx_model.evaluation.evaluate import evaluate
from hlx_model.files import read_json, sha256_of
from hlx_model.layout import Artifacts
from hlx_model.model.generation import generate
from hlx_model.model.tokenizer import SYMBOLS, VOCABULARY_SHA256
from hlx_model.provenance.record import record_of
from hlx_model.release.card import card_of
from hlx_model.release.export import export
from hlx_model.reporting.conclusion import conclusion
from hlx_model.reporting.models import Report, Translation
from tests.support.command import Hlx
from tests.support.curriculum import Curriculum, copied, stopped, trained
from tests.support.damage import flip

REPOSITORY = Path(__file__).parents[2]
FILES = {
    "model.safetensors", "config.json", "vocabulary.json", "README.md", "manifest.json", "report.json", "verdict.json",
    "provenance.json",
}  # fmt: skip


def program(folder: Path) -> str:
    """The program in the folder's card."""
    return (folder / "README.md").read_text(encoding="utf-8").partition("```python\n")[2].partition("```")[0]


def test_the_folder_contains_the_weights_the_records_and_the_card(
    hlx: Hlx, curriculum: Curriculum, tmp_path: Path
) -> None:
    three = curriculum.phases[3]
    folder = tmp_path / "new" / "folder"
    ran = hlx("export", three.outcome.manifest.training_id[:8], folder, "--checkpoint-dir", curriculum.training)
    assert (ran.code, ran.out) == (0, f"{folder}\n")
    assert ran.err == f"{conclusion(Report.read(folder / 'report.json'))}\n"
    assert {path.name for path in folder.iterdir()} == FILES
    directory = three.evaluation.directory
    for name, source in (
        ("model.safetensors", three.checkpoint), ("manifest.json", three.checkpoint), ("report.json", directory),
        ("verdict.json", directory),
    ):  # fmt: skip
        assert (folder / name).read_bytes() == (source / name).read_bytes()
    assert (folder / "README.md").read_text(encoding="utf-8") == card_of(
        record_of(three.checkpoint), "model.safetensors"
    )
    config, vocabulary = read_json(folder / "config.json"), read_json(folder / "vocabulary.json")
    expected = {
        "size": "tiny", "phase": 3, "d_model": 128, "layers": 2, "heads": 4, "ffn": 512, "positions": 512,
        "vocabulary_size": 117, "activation": "relu", "pre_norm": True, "parameters": 492_149, "eos_token_id": 2,
    }  # fmt: skip
    assert expected.items() <= config.items()
    assert vocabulary["symbols"] == list(SYMBOLS) and vocabulary["sha256"] == VOCABULARY_SHA256
    assert vocabulary["special"] == {"<PAD>": 0, "<BOS>": 1, "<EOS>": 2, "<UNK>": 3}


def test_the_statement_names_every_other_file_and_all_dependencies(curriculum: Curriculum, tmp_path: Path) -> None:
    export(curriculum.phases[3].checkpoint, tmp_path / "folder")
    manifest = curriculum.phases[3].outcome.manifest
    found = read_json(tmp_path / "folder" / "provenance.json")
    assert (found["_type"], found["predicateType"]) == (
        "https://in-toto.io/Statement/v1",
        "https://slsa.dev/provenance/v1",
    )
    subjects = {subject["name"]: subject["digest"]["sha256"] for subject in found["subject"]}
    assert subjects == {name: sha256_of(tmp_path / "folder" / name) for name in FILES - {"provenance.json"}}
    definition, run = found["predicate"]["buildDefinition"], found["predicate"]["runDetails"]
    assert definition["externalParameters"] == manifest.settings
    digests = {d["name"]: d["digest"] for d in definition["resolvedDependencies"]}
    (document,) = manifest.corpora["paired_corpus"].documents
    assert digests[Path(document.name).name] == {"sha256": document.sha256}
    for asset, version in manifest.corpora.items():
        assert digests[asset] == {"hlxDataVersion": version.data_version}
        assert digests["corpus_examples"] == {"hlxDataVersion": version.examples}
    assert manifest.parent is not None
    assert digests[f"{manifest.parent.training_id}/{manifest.parent.name}"] == {
        "sha256": manifest.parent.weights_sha256
    }
    assert digests.get("hlx-brain", {"gitCommit": None}) == {"gitCommit": manifest.code["commit"]}
    assert run["metadata"] == {
        "invocationId": "the run", "startedOn": manifest.started, "finishedOn": manifest.created
    }  # fmt: skip


def test_in_toto_reads_the_statement_and_the_provenance(curriculum: Curriculum, tmp_path: Path) -> None:
    statement = pytest.importorskip("in_toto_attestation.v1.statement")
    messages = pytest.importorskip("in_toto_attestation.v1.statement_pb2")
    provenance = pytest.importorskip("in_toto_attestation.predicates.provenance.v1.provenance_pb2")
    json_format = pytest.importorskip("google.protobuf.json_format")
    for phase in (1, 3):  # without and with a parent
        export(curriculum.phases[phase].checkpoint, tmp_path / str(phase))
        found = read_json(tmp_path / str(phase) / "provenance.json")
        # A field that it does not know is an error.
        statement.Statement.copy_from_pb(json_format.ParseDict(found, messages.Statement())).validate()
        predicate = json_format.ParseDict(found["predicate"], provenance.Provenance())
        assert predicate.build_definition.build_type.startswith("urn:") and predicate.run_details.builder.id
        assert all(d.name and d.digest for d in predicate.build_definition.resolved_dependencies)


def test_the_program_in_the_card_gives_the_answer_of_the_model(
    curriculum: Curriculum, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    report = curriculum.phases[3].evaluation.report
    right = next(e for e in report.examples if isinstance(e, Translation) and e.source == "English" and e.exact)
    for phase, start in ((3, right.prompt), (2, "{1000: {@0: "), (1, "Search for ")):
        checkpoint = curriculum.phases[phase].checkpoint
        (answer,) = generate(checkpoints.load_model(verify_checkpoint(checkpoint)), [start], max_new_tokens=200)
        for format in ("safetensors", "pt"):
            folder = tmp_path / f"{phase} {format}"
            export(checkpoint, folder, format)
            monkeypatch.chdir(folder)
            exec(program(folder), {})
            assert capsys.readouterr().out == f"{answer}\n"


def test_the_program_in_the_card_runs_by_itself(curriculum: Curriculum, tmp_path: Path) -> None:
    export(curriculum.phases[3].checkpoint, tmp_path / "folder")
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", program(tmp_path / "folder")], cwd=tmp_path / "folder",
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"}, check=False, timeout=300,
    )  # fmt: skip
    assert ran.returncode == 0


def test_the_program_translates_a_held_out_sentence_that_was_right(curriculum: Curriculum, tmp_path: Path) -> None:
    record = record_of(curriculum.phases[3].checkpoint)
    assert record.report is not None
    example = Translation(
        source="English", target="LC-T", prompt="[LC-T] Say 'it\\' → → ", expected="", written="",
        exact=True, parses=True, same_value=True,
    )  # fmt: skip
    report = record.report.model_copy(update={"examples": [example, *record.report.examples]})
    record = replace(record, report=report)
    assert f"prompt({'LC-T'!r}, {chr(34)}Say 'it\\\\' →{chr(34)})" in card_of(record, "model.safetensors")


def test_a_pt_file_loads_like_a_file_of_torch_save(hlx: Hlx, curriculum: Curriculum, tmp_path: Path) -> None:
    three = curriculum.phases[3]
    ran = hlx("export", three.checkpoint, tmp_path / "folder", "--format", "pt")
    path = tmp_path / "folder" / "model.pt"
    assert ran.code == 0 and {p.name for p in path.parent.iterdir()} == FILES - {"model.safetensors"} | {"model.pt"}
    content = torch.load(path, weights_only=True)
    assert content.keys() == {"epoch", "model_state_dict", "vocab"} and content["vocab"]["λ"] == SYMBOLS.index("λ")
    ours, theirs = checkpoints.load_model(verify_checkpoint(three.checkpoint)), pt_import.load_pt(path)
    assert theirs.size == "tiny"
    ids = torch.randint(4, 117, (2, 60), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        assert torch.equal(ours(ids), theirs.model(ids))
    copy = shutil.copyfile(path, tmp_path / "model.pt")
    refused = hlx("validate", "--checkpoint", path, "--corpus", curriculum.document, "--phase", 3, "--device", "cpu")
    assert refused.code == 1 and "copy model.pt into another folder" in refused.error
    evaluated = hlx(
        "validate", "--checkpoint", copy, "--corpus", curriculum.document, "--phase", 3, "--device", "cpu", "--json"
    )
    figures = json.loads(evaluated.out)["figures"]
    assert figures["held_out_loss"] == three.evaluation.report.to_json()["figures"]["held_out_loss"]


def test_a_checkpoint_that_did_not_pass_is_exported_with_a_warning(
    hlx: Hlx, small_document: Path, tmp_path: Path
) -> None:
    checkpoint = stopped(small_document, tmp_path / "artifacts")
    ran = hlx("export", checkpoint, tmp_path / "folder")
    assert ran.code == 0 and ran.out == f"{tmp_path / 'folder'}\n"
    warnings = ran.err.splitlines()
    assert all(line.startswith("warning: ") and checkpoint.name in line for line in warnings)
    assert any("its training was stopped" in line for line in warnings)
    assert any("it was never evaluated" in line for line in warnings)
    text = (tmp_path / "folder" / "README.md").read_text(encoding="utf-8")
    assert "never evaluated" in text.partition("## What it is")[0]
    assert {path.name for path in (tmp_path / "folder").iterdir()} == FILES - {"report.json", "verdict.json"}


def test_a_checkpoint_that_failed_is_exported_only_if_it_is_named_itself(
    hlx: Hlx, small_document: Path, tmp_path: Path
) -> None:
    checkpoint = stopped(small_document, tmp_path / "artifacts")
    assert evaluate(checkpoint).verdict.outcome == "fail"
    training, name = checkpoint.parents[1].name, checkpoint.name
    within = ("--checkpoint-dir", checkpoint.parents[2])
    ran = hlx("export", training, tmp_path / "folder", *within)
    assert ran.code == 1 and f"{training}/{name} did not pass its gates (training_completed" in ran.error
    assert f"name it: hlx export {training}/{name} {tmp_path / 'folder'}" in ran.error
    assert not (tmp_path / "folder").exists()
    named = hlx("export", f"{training}/{name}", tmp_path / "folder", *within)
    assert named.code == 0 and "warning: " in named.err and "it did not pass its gates" in named.err


def test_an_empty_directory_is_filled_and_another_one_is_kept(
    hlx: Hlx, curriculum: Curriculum, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = curriculum.phases[1].checkpoint
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty" / "lost+found").mkdir()  # it may be the root of a disk
    inode = (tmp_path / "empty").stat().st_ino
    with monkeypatch.context() as patch:
        patch.chdir(tmp_path / "empty")
        assert hlx("export", checkpoint, ".").code == 0
        assert Path.cwd() == tmp_path / "empty" and Path("config.json").exists()
    assert (tmp_path / "empty").stat().st_ino == inode
    assert hlx("export", checkpoint, "new").code == 0
    made = {path.name for path in (tmp_path / "empty").iterdir()} - {"lost+found"}
    assert made == {path.name for path in (tmp_path / "new").iterdir()}
    (tmp_path / "empty" / "lost+found").rmdir()
    for target, message in (("empty", "not empty: name a new or an empty directory"), ("empty/config.json", "a file")):
        before = sorted((path, path.read_bytes()) for path in (tmp_path / "empty").iterdir())
        ran = hlx("export", checkpoint, target)
        assert ran.code == 1 and ran.err == f"{ran.error}\n" and f"{target}: {message}" in ran.error
        assert sorted((path, path.read_bytes()) for path in (tmp_path / "empty").iterdir()) == before


@pytest.mark.parametrize("name", ["model.safetensors", "state.json", "manifest.json"])
def test_a_changed_checkpoint_is_not_exported(hlx: Hlx, curriculum: Curriculum, tmp_path: Path, name: str) -> None:
    checkpoint = copied(curriculum, tmp_path / "artifacts", 1)
    flip(checkpoint / name)
    ran = hlx("export", checkpoint, tmp_path / "folder")
    assert ran.code == 1 and ran.err == f"{ran.error}\n" and name in ran.error and "use another checkpoint" in ran.error
    assert {path.name for path in tmp_path.iterdir()} == {"artifacts"}


def test_weights_that_change_during_the_copy_leave_nothing(
    curriculum: Curriculum, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copyfile = shutil.copyfile

    def changed(source: Path, target: Path) -> None:
        copyfile(source, target)
        if source.name == "model.safetensors":
            target.write_bytes(target.read_bytes() + b" ")

    monkeypatch.setattr(shutil, "copyfile", changed)
    with pytest.raises(CheckpointError, match="its SHA-256 is not the one recorded"):
        export(curriculum.phases[1].checkpoint, tmp_path / "folder")
    assert list(tmp_path.iterdir()) == []


def test_bad_input_is_one_line_that_leaves_nothing(hlx: Hlx, curriculum: Curriculum, tmp_path: Path) -> None:
    checkpoint, folder = curriculum.phases[1].checkpoint, tmp_path / "folder"
    for arguments, message in (
        ((checkpoint, folder, "--format", "gguf"), "--format is 'gguf': choose one of safetensors, pt, onnx"),
        (("phase1_checkpoint", folder, "--checkpoint-dir", tmp_path), "phase1_checkpoint was never materialized"),
        ((tmp_path / "none" / "it", folder), "no such checkpoint"),
        ((tmp_path, folder), "manifest.json is missing"),
    ):
        ran = hlx("export", *arguments)
        assert ran.code == 1 and ran.out == "" and ran.err == f"{ran.error}\n" and message in ran.error
    assert list(tmp_path.iterdir()) == []


def test_a_changed_report_is_not_exported(hlx: Hlx, curriculum: Curriculum, tmp_path: Path) -> None:
    checkpoint = copied(curriculum, tmp_path / "artifacts", 3)
    path = Artifacts.of_checkpoint(checkpoint).report(checkpoint) / "report.json"
    path.write_bytes(path.read_bytes() + b"\n")
    ran = hlx("export", checkpoint, tmp_path / "folder")
    assert ran.code == 1 and "report.json: changed" in ran.error and not (tmp_path / "folder").exists()


def test_torch_is_not_loaded_to_export_safetensors(small_document: Path, tmp_path: Path) -> None:
    checkpoint = trained(small_document, tmp_path / "artifacts")
    program = (
        "import sys; from pathlib import Path; from hlx_model.cli.export import export_command\n"
        "export_command(sys.argv[1], Path(sys.argv[2])); sys.exit('torch' in sys.modules)"
    )
    folder = tmp_path / "folder"
    ran = subprocess.run([sys.executable, "-c", program, checkpoint, folder], cwd=REPOSITORY, check=False, timeout=120)
    assert ran.returncode == 0 and (folder / "provenance.json").is_file()


def test_a_checkpoint_that_was_never_evaluated_is_exported_only_by_its_name(
    hlx: Hlx, curriculum: Curriculum, tmp_path: Path
) -> None:
    artifacts = Artifacts.at(Path(shutil.copytree(curriculum.root, tmp_path / "artifacts")))
    checkpoint = artifacts.root / curriculum.phases[1].checkpoint.relative_to(curriculum.root)
    shutil.rmtree(artifacts.report(checkpoint))
    within, training = ("--checkpoint-dir", artifacts.training), checkpoint.parents[1].name
    ran = hlx("export", training, tmp_path / "folder", *within)
    assert ran.code == 1 and f"{training}/{checkpoint.name} was never evaluated: to export it all the same" in ran.error
    named = hlx("export", f"{training}/{checkpoint.name}", tmp_path / "folder", *within)
    assert named.code == 0 and "warning: " in named.err and "never evaluated" in named.err
