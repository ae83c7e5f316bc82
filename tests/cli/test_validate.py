"""`hlx validate` applies the same gates to a `.pt` file as to a checkpoint of hlx, and says what the file lacks."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch

from hlx_model.checkpoints import weights as checkpoints
from hlx_model.checkpoints.seal import verify_checkpoint
from hlx_model.evaluation.verdict import Verdict
from hlx_model.files import sha256_of
from hlx_model.layout import REPORT
from hlx_model.model.sizes import SIZES, Architecture
from hlx_model.model.transformer import Transformer
from hlx_model.phases import CORPUS_OF_PHASE
from hlx_model.reporting.conclusion import conclusion
from hlx_model.reporting.models import Report
from tests.support.command import Hlx
from tests.support.curriculum import Curriculum, copied
from tests.support.documents import small_text

UNRECORDED = {"training_completed", "lineage", "reported_loss"}
"""What warns because a `.pt` file does not record it."""


def users_file(curriculum: Curriculum, tmp_path: Path, phase: int = 1) -> Path:
    """Write the final weights of a phase as another trainer would have saved them, and return the path."""
    path = tmp_path / f"phase{phase}_FINAL.pt"
    state = checkpoints.load_model(verify_checkpoint(curriculum.phases[phase].checkpoint)).state_dict()
    torch.save({"epoch": 30, "model_state_dict": state, "loss": 0.01}, path)
    return path


def by_name(report: Any) -> dict[str, Any]:
    return {gate["name"]: gate for gate in report["gates"]}


@pytest.mark.parametrize("phase", [1, 2, 3])
def test_a_pt_file_gets_the_results_of_a_checkpoint_of_the_same_weights(
    hlx: Hlx, curriculum: Curriculum, tmp_path: Path, phase: int
) -> None:
    path, out = users_file(curriculum, tmp_path, phase), tmp_path / "out.json"
    ran = hlx(
        "validate", "--checkpoint", path, "--corpus", curriculum.document, "--phase", phase,
        "--device", "cpu", "--output", out, "--json",
    )  # fmt: skip
    report = json.loads(ran.out)
    assert report == json.loads(out.read_text(encoding="utf-8"))
    assert report["outcome"] in ("warn", "fail") and ran.code == {"warn": 2, "fail": 1}[report["outcome"]]
    ours = curriculum.phases[phase].evaluation.report.to_json()
    found, expected = by_name(report), by_name(ours)
    assert list(found) == list(expected)
    # It has no reports on earlier phases.
    for name in found.keys() - UNRECORDED - {"not_forgotten"}:
        assert found[name] == expected[name]
    assert {found[name]["outcome"] for name in UNRECORDED & found.keys()} == {"warn"}
    for figure in ("held_out_loss", "training_loss", "copy_rate", "unigram_baseline", "bigram_baseline"):
        assert report["figures"][figure] == ours["figures"][figure]
    asset = CORPUS_OF_PHASE[phase]
    assert report["corpora"] == {asset: ours["corpora"][asset]}
    assert (report["checkpoint"], report["size"], report["phase"]) == (path.name, "tiny", phase)
    assert report["weights_sha256"] == sha256_of(path)


def test_the_report_on_a_pt_file_is_written_beside_it_alone(hlx: Hlx, curriculum: Curriculum, tmp_path: Path) -> None:
    path = users_file(curriculum, tmp_path)
    ran = hlx("validate", "--checkpoint", path, "--corpus", curriculum.document, "--phase", 1, "--device", "cpu")
    directory = tmp_path / "phase1_FINAL.report"
    assert {entry.name for entry in tmp_path.iterdir()} == {path.name, directory.name}
    ours = curriculum.phases[1].evaluation.directory
    assert {entry.name for entry in directory.iterdir()} == {entry.name for entry in ours.iterdir()}
    verdict = Verdict.read(directory)
    head, said, *table = ran.out.splitlines()
    assert head == f"{path.name}: {verdict.outcome}" and all(gate.name in "".join(table) for gate in verdict.gates)
    assert said == conclusion(Report.read(directory / REPORT))
    assert said.endswith("; the file does not say what it was trained on.")
    shown = (directory / "report.md").read_text(encoding="utf-8")
    assert "epoch – of –, step –" in shown and "None" not in shown
    assert all(f"`{gate.name}`" in shown for gate in verdict.gates)


def test_a_kept_corpus_gives_the_report_of_the_document_it_was_made_from(
    hlx: Hlx, curriculum: Curriculum, tmp_path: Path
) -> None:
    path = users_file(curriculum, tmp_path)
    version = curriculum.phases[1].outcome.manifest.corpora["english_corpus"]
    command = ("validate", "--checkpoint", path, "--phase", 1, "--device", "cpu", "--json", "--corpus")
    kept, read = (hlx(*command, corpus) for corpus in (curriculum.root / version.path, curriculum.document))
    assert kept.code == read.code and json.loads(kept.out) == json.loads(read.out)


def test_several_documents_are_one_corpus(hlx: Hlx, curriculum: Curriculum, tmp_path: Path) -> None:
    entries = small_text().split("\nEnglish: ")
    parts = [tmp_path / "first.md", tmp_path / "second.md"]
    parts[0].write_text("\nEnglish: ".join(entries[:20]), encoding="utf-8")
    parts[1].write_text("English: " + "\nEnglish: ".join(entries[20:]), encoding="utf-8")
    path = users_file(curriculum, tmp_path)
    named = [word for part in parts for word in ("--corpus", part)]
    report = json.loads(hlx("validate", "--checkpoint", path, "--phase", 1, "--json", *named).out)
    assert report["figures"]["held_out_loss"] == pytest.approx(
        curriculum.phases[1].evaluation.report.to_json()["figures"]["held_out_loss"]
    )


def test_heads_are_required_if_the_shapes_are_of_no_known_size(
    hlx: Hlx, curriculum: Curriculum, tmp_path: Path
) -> None:
    path = tmp_path / "small.pt"
    torch.save(Transformer(Architecture(24, 1, 4, 40)).initialize(seed=0).state_dict(), path)
    command = ("validate", "--checkpoint", path, "--corpus", curriculum.document, "--phase", 1, "--json")
    assert "name it with --heads, one of 1, 2, 3, 4, 6, 8, 12, 24" in hlx(*command).error
    ran = hlx(*command, "--heads", 4)
    report = json.loads(ran.out)
    assert report["size"] == "24 wide, 1 layers, 4 heads, 40 feed-forward"
    # A model that has learned nothing fails; it is not reported as one that could not be evaluated.
    assert ran.code == 1 and by_name(report)["perplexity"]["outcome"] == "fail"


def test_a_pt_file_that_translates_nothing_fails(hlx: Hlx, curriculum: Curriculum, tmp_path: Path) -> None:
    path = tmp_path / "nothing.pt"
    torch.save(Transformer(SIZES["tiny"]).initialize(seed=0).state_dict(), path)
    ran = hlx("validate", "--checkpoint", path, "--corpus", curriculum.document, "--phase", 3, "--json")
    found = by_name(json.loads(ran.out))
    assert ran.code == 1
    failed = {name for name, gate in found.items() if gate["outcome"] == "fail"}
    assert failed >= {"perplexity", "parse_rate", "training_pairs", "standard_prompts"}
    assert found["training_pairs"]["reason"].startswith("training pairs reproduced 0.0% (0 of 256; required ≥ 90%)")


def test_other_rates_are_required_of_a_report_and_a_lower_one_warns(
    hlx: Hlx, curriculum: Curriculum, tmp_path: Path
) -> None:
    checkpoint = copied(curriculum, tmp_path / "artifacts", 1)
    command = ("validate", "--checkpoint", checkpoint, "--device", "cpu")
    lower = hlx(*command, "--profile", "production", "--require", "words=0.2", "--json")
    report = json.loads(lower.out)
    assert lower.code == 2 and report["fitness"]["limits"]["words"] == {"required": 0.2, "good": 0.8}
    assert by_name(report)["limits"]["reason"].endswith(": words 20% (production 80%)")
    assert hlx(*command).code == 0
    assert "--require is 'words': write it as" in hlx(*command, "--require", "words").error
    assert "no rate of 'luck' can be required" in hlx(*command, "--require", "luck=1").error


@pytest.mark.parametrize(
    ("leave", "said"),
    [
        ("--corpus", "a .pt file does not name its corpus: pass a document with --corpus"),
        ("--phase", "a .pt file does not name its phase: pass --phase 1, 2 or 3"),
    ],
)
def test_a_pt_file_requires_a_corpus_and_a_phase(
    hlx: Hlx, curriculum: Curriculum, tmp_path: Path, leave: str, said: str
) -> None:
    given = {"--checkpoint": users_file(curriculum, tmp_path), "--corpus": curriculum.document, "--phase": 1}
    ran = hlx("validate", *(word for name, value in given.items() if name != leave for word in (name, value)))
    assert ran.code == 1 and ran.err == f"{ran.error}\n" and said in ran.error


@pytest.mark.parametrize("option", [("--corpus", "small.md"), ("--phase", 1), ("--heads", 4)])
def test_options_for_a_pt_file_are_refused_for_a_checkpoint(
    hlx: Hlx, curriculum: Curriculum, option: tuple[str, object]
) -> None:
    ran = hlx("validate", "--checkpoint", curriculum.phases[1].checkpoint, *option)
    assert ran.code == 1 and ran.err == f"{ran.error}\n"
    assert "its manifest names its corpora: omit --corpus, --phase and --heads" in ran.error


class Touches:
    """An object whose pickle calls a function when it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


def test_an_unusable_input_is_one_line_runs_nothing_and_leaves_no_report(
    hlx: Hlx, curriculum: Curriculum, tmp_path: Path
) -> None:
    good, document = users_file(curriculum, tmp_path), curriculum.document
    evil, empty = tmp_path / "evil.pt", tmp_path / "empty.md"
    torch.save({"model": Touches(tmp_path / "touched")}, evil)
    empty.write_text("nothing\n", encoding="utf-8")
    pairs = curriculum.root / curriculum.phases[3].outcome.manifest.corpora["paired_corpus"].path
    before = {path.name for path in tmp_path.iterdir()}
    for path, corpus, phase, said in (
        (evil, document, 1, "contains more than weights (posix.mkdir), which is never loaded"),
        (tmp_path / "none.pt", document, 1, "none.pt: no such checkpoint"),
        (document, document, 1, "small.md: not a file that torch.save wrote"),
        (good, document, 4, "phase is 4: it must be 1, 2 or 3"),
        (good, tmp_path / "none.md", 1, "none.md"),
        (good, empty, 1, "empty.md"),
        (good, pairs, 1, "phase 1 is evaluated on english_corpus, not on paired_corpus"),
    ):
        ran = hlx("validate", "--checkpoint", path, "--corpus", corpus, "--phase", phase)
        assert ran.code == 1 and ran.out == "" and ran.err == f"{ran.error}\n" and said in ran.error
    assert {path.name for path in tmp_path.iterdir()} == before


def test_an_evaluation_document_is_in_the_report_and_has_a_gate(
    hlx: Hlx, curriculum: Curriculum, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint, exam = copied(curriculum, tmp_path / "artifacts", 3), tmp_path / "exam.md"
    exam.write_text('English: Search for kites\nHLXL: {1000: {@0: "search", @1: &h_kites}}\n', encoding="utf-8")
    command = ("validate", "--checkpoint", checkpoint, "--device", "cpu")
    plain = json.loads(hlx(*command, "--json").out)
    assert plain["evaluation"] is None  # the model learned no composed entries
    report = json.loads(hlx(*command, "--eval", exam, "--json").out)
    assert report["evaluation"]["documents"] == ["exam.md"] and report["evaluation"]["by_novelty"].keys() == {"unseen"}
    without, gate = by_name(plain), by_name(report)["evaluation"]
    assert by_name(report) == {**without, "evaluation": gate} and without["evaluation"]["outcome"] == "pass"
    # A corpus that can only be learned by heart cannot show that it generalizes.
    assert gate["outcome"] == "warn" and "learned by heart, not shown to generalize (fewer " in gate["reason"]
    monkeypatch.setenv("HLX_EVAL", str(exam))
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    ran = hlx("validate", "--checkpoint", f"{checkpoint.parents[1].name}/{checkpoint.name}", "--device", "cpu")
    assert "evaluation (exam.md): " in ran.out and "4 answers to new sentences; chrF into English" in ran.out
    page = (tmp_path / "artifacts/reports" / checkpoint.parents[1].name / checkpoint.name / "report.html").read_text()
    assert 'id="evaluation"' in page and "New sentences, by format" in page


def test_an_evaluation_document_that_is_missing_is_one_line(hlx: Hlx, curriculum: Curriculum, tmp_path: Path) -> None:
    checkpoint = curriculum.phases[3].checkpoint
    ran = hlx("validate", "--checkpoint", checkpoint, "--device", "cpu", "--eval", tmp_path / "none.md")
    assert ran.code == 1 and "none.md: no such file" in ran.error
