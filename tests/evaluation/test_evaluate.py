"""Every checkpoint gets a report, a bad one too: that is when people need it."""

import json
import re
import shutil
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
import torch

from hlx_model.checkpoints.manifest import CheckpointError, read_manifest
from hlx_model.checkpoints.seal import verify_checkpoint
from hlx_model.evaluation.compare import LOSS_MARGIN
from hlx_model.evaluation.evaluate import evaluate, target_of
from hlx_model.evaluation.gates import GATES_OF_PHASE
from hlx_model.evaluation.measurements import CPU_PARAMETERS, WHOLE_SAMPLE, sample_for
from hlx_model.evaluation.verdict import Verdict
from hlx_model.layout import Artifacts
from hlx_model.model.transformer import Transformer
from hlx_model.reporting.render import escape_markdown
from tests.support.curriculum import Curriculum, copied, stopped
from tests.support.damage import rewrite_checkpoint
from tests.support.documents import VERBS
from tests.support.models import trained_on_unshifted_labels

FILES = {"report.json", "report.html", "report.md", "verdict.json", "loss.svg"}


def strictly(path: Path) -> Any:
    """Return the JSON of a file; NaN and Infinity, which are not JSON, are an error."""

    def refuse(constant: str) -> None:
        raise AssertionError(f"{path} contains {constant}")

    return json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse)


@pytest.mark.parametrize("phase", [1, 2, 3])
def test_every_phase_gets_its_gates_and_a_report_of_five_files(curriculum: Curriculum, phase: int) -> None:
    trained = curriculum.phases[phase]
    evaluation = trained.evaluation
    assert evaluation.directory == Artifacts(curriculum.training).report(trained.checkpoint)
    assert {path.name for path in evaluation.directory.iterdir()} == FILES
    assert tuple(gate.name for gate in evaluation.verdict.gates) == GATES_OF_PHASE[phase]
    report = strictly(evaluation.directory / "report.json")
    assert report == evaluation.report.to_json()
    assert (report["phase"], report["kind"], report["size"]) == (phase, "FINAL", "tiny")
    assert [gate["name"] for gate in report["gates"]] == list(GATES_OF_PHASE[phase])
    assert report["curve"][-1]["step"] == trained.outcome.manifest.step
    assert Verdict.read(evaluation.directory) == evaluation.verdict
    assert strictly(evaluation.directory / "verdict.json")["outcome"] == report["outcome"]


def written(reason: str) -> str:
    """Return a reason as Markdown: the text of a model that it quotes must not become a table or a tag."""
    return re.sub(r"[\\|<`\[]", r"\\\g<0>", reason)


@pytest.mark.parametrize("phase", [1, 2, 3])
def test_the_markdown_contains_every_gate_and_the_loss_curve(curriculum: Curriculum, phase: int) -> None:
    evaluation = curriculum.phases[phase].evaluation
    for gate in evaluation.verdict.gates:
        assert f"`{gate.name}`" in evaluation.markdown and written(gate.reason) in evaluation.markdown
    assert "data:image/svg+xml;base64," in evaluation.markdown
    for asset, version in evaluation.verdict.corpora.items():
        assert f"`{asset}`" in evaluation.markdown and version in evaluation.markdown


def test_the_loss_curve_is_an_svg_of_every_record(curriculum: Curriculum) -> None:
    evaluation = curriculum.phases[1].evaluation
    svg = ET.parse(evaluation.directory / "loss.svg").getroot()
    lines = [len((line.get("points") or "").split()) for line in svg.iter("{http://www.w3.org/2000/svg}polyline")]
    curve = evaluation.report.to_json()["curve"]
    held_out = sum(row["held_out_loss"] is not None for row in curve)
    assert lines == [len(curve) - held_out, held_out]


def test_a_healthy_phase_1_passes_its_gates(curriculum: Curriculum) -> None:
    evaluation = curriculum.phases[1].evaluation
    assert [gate for gate in evaluation.verdict.gates if gate.outcome == "fail"] == []
    figures = evaluation.report.to_json()["figures"]
    assert figures["held_out_loss"] < figures["bigram_baseline"] < figures["unigram_baseline"]
    assert figures["perplexity"] == pytest.approx(torch.tensor(figures["held_out_loss"]).exp().item(), rel=1e-5)


def test_phase_3_is_reported_by_format_and_direction(curriculum: Curriculum) -> None:
    figures = curriculum.phases[3].evaluation.report.to_json()["figures"]
    for direction in ("to_hlx", "to_english"):
        assert list(figures[direction]) == ["HLXL", "LC-R", "LC-T", "LC-B"]
        assert all(rates["samples"] > 0 for rates in figures[direction].values())
    assert len(figures["standard_prompts"]) == 32
    assert set(figures["earlier_phases"]) == {"english_corpus", "hlx_corpus"}
    then = {asset: losses["then"] for asset, losses in figures["earlier_phases"].items()}
    for phase, asset in ((1, "english_corpus"), (2, "hlx_corpus")):
        # They were learned by heart: the loss on training text counts.
        assert then[asset] == curriculum.phases[phase].evaluation.report.to_json()["figures"]["training_loss"]


def test_phase_3_is_reported_by_pair_of_formats_operation_and_length(curriculum: Curriculum) -> None:
    report = curriculum.phases[3].evaluation.report.to_json()
    figures = report["figures"]
    pairs = {(source, target): rates for source, of in figures["between"].items() for target, rates in of.items()}
    assert len(pairs) == 12 and all(source != target for source, target in pairs)
    assert {rates["samples"] for rates in pairs.values()} == {figures["held_out_values"]}
    assert figures["between_formats"]["samples"] == 12 * figures["held_out_values"]
    both = figures["all_to_hlx"]["samples"] + figures["all_to_english"]["samples"]
    for by in ("by_operation", "by_length"):
        assert sum(rates["samples"] for rates in figures[by].values()) == both
    assert set(figures["by_operation"]) <= set(VERBS)
    assert 0 < len(report["worst"]) <= 10
    distances = [answer["distance"] for answer in report["worst"]]
    assert distances == sorted(distances, reverse=True) and not any(a["same_value"] for a in report["worst"])


def test_a_large_model_is_measured_on_fewer_samples_on_a_cpu() -> None:
    assert sample_for(CPU_PARAMETERS, "cpu") == sample_for(100 * CPU_PARAMETERS, "cuda") == WHOLE_SAMPLE
    less, least = sample_for(7 * CPU_PARAMETERS, "cpu"), sample_for(1000 * CPU_PARAMETERS, "cpu")
    assert WHOLE_SAMPLE.rows > less.rows > least.rows > 0
    assert WHOLE_SAMPLE.conversions > less.conversions > least.conversions > 0


def test_a_report_is_compared_with_the_newest_other_of_its_phase(curriculum: Curriculum, tmp_path: Path) -> None:
    final = copied(curriculum, tmp_path / "artifacts", 1)
    assert curriculum.phases[1].evaluation.report.to_json()["comparison"] is None
    middle = final.parent / "phase1_epoch1"
    comparison = evaluate(middle).report.comparison
    assert comparison is not None
    assert (comparison.other, comparison.outcome) == (f"{final.parents[1].name}/{final.name}", "worse")
    again = evaluate(final).report.comparison
    assert again is not None
    assert (again.other, again.outcome) == (f"{final.parents[1].name}/phase1_epoch1", "better")
    loss = again.figures["held_out_loss"]
    assert loss.before - loss.now > LOSS_MARGIN


def test_earlier_losses_skip_a_phase_without_a_report(curriculum: Curriculum, tmp_path: Path) -> None:
    copied(curriculum, tmp_path / "artifacts", 1)
    of_phase = {
        n: tmp_path / "artifacts" / t.checkpoint.relative_to(curriculum.root) for n, t in curriculum.phases.items()
    }
    shutil.rmtree(Artifacts.of_checkpoint(of_phase[2]).report(of_phase[2]))
    found = target_of(*verify_checkpoint(of_phase[3])).earlier_losses
    then = curriculum.phases[1].evaluation.report.to_json()["figures"]
    assert found == {"english_corpus": (then["held_out_loss"], then["training_loss"])}


def test_evaluating_again_changes_no_byte_of_report_and_verdict(curriculum: Curriculum, tmp_path: Path) -> None:
    checkpoint = copied(curriculum, tmp_path / "artifacts", 1)
    directory = Artifacts.of_checkpoint(checkpoint).report(checkpoint)
    before = {path.name: path.read_bytes() for path in directory.iterdir()}
    assert evaluate(checkpoint).directory == directory
    assert {path.name: path.read_bytes() for path in directory.iterdir()} == before


def test_an_intermediate_checkpoint_gets_a_warning(curriculum: Curriculum, tmp_path: Path) -> None:
    middle = copied(curriculum, tmp_path / "artifacts", 1).parent / "phase1_epoch20"
    evaluation = evaluate(middle)
    completed = evaluation.verdict.gates[0]
    assert (completed.name, completed.outcome) == ("training_completed", "warn")
    assert evaluation.report.to_json()["curve"][-1]["step"] == verify_checkpoint(middle).manifest.step


def test_a_stopped_training_gets_a_report_and_fails_with_its_reason(small_document: Path, tmp_path: Path) -> None:
    checkpoint = stopped(small_document, tmp_path)
    reason = read_manifest(checkpoint).stopped
    assert reason is not None
    evaluation = evaluate(checkpoint)
    assert {path.name for path in evaluation.directory.iterdir()} == FILES
    report = strictly(evaluation.directory / "report.json")
    assert report["outcome"] == "fail" and report["stopped"] == reason
    assert report["gates"][0]["outcome"] == "fail" and reason in report["gates"][0]["reason"]
    assert f"**Its training was stopped at epoch 1 of 5: {reason.split(': ')[0]}. " in evaluation.markdown
    assert escape_markdown(reason) in evaluation.markdown


@pytest.mark.parametrize("broken", [torch.nan, 1e30])
def test_a_model_of_nan_or_huge_weights_gets_a_report_and_fails(
    curriculum: Curriculum, tmp_path: Path, broken: float
) -> None:
    def change(model: Transformer) -> None:
        for parameter in model.transformer.layers[1].parameters():
            parameter.data.fill_(broken)

    checkpoint = copied(curriculum, tmp_path / "artifacts", 1)
    rewrite_checkpoint(checkpoint, change)
    evaluation = evaluate(checkpoint)
    report = strictly(evaluation.directory / "report.json")
    assert report["outcome"] == "fail"
    assert "reported_loss" in {gate["name"] for gate in report["gates"] if gate["outcome"] == "fail"}
    assert {path.name for path in evaluation.directory.iterdir()} == FILES


def test_labels_that_were_not_shifted_fail_the_report_too(curriculum: Curriculum, tmp_path: Path) -> None:
    checkpoint = copied(curriculum, tmp_path / "artifacts", 1)
    trained = trained_on_unshifted_labels(list(curriculum.phases[1].plan.train))
    rewrite_checkpoint(checkpoint, lambda model: model.load_state_dict(trained.state_dict()))
    failed = {gate.name for gate in evaluate(checkpoint).verdict.gates if gate.outcome == "fail"}
    assert {"copy_rate", "reported_loss"} <= failed


def test_a_truncated_checkpoint_is_refused_and_keeps_its_old_report(curriculum: Curriculum, tmp_path: Path) -> None:
    checkpoint = copied(curriculum, tmp_path / "artifacts", 1)
    report = Artifacts.of_checkpoint(checkpoint).report(checkpoint) / "report.json"
    before = report.read_bytes()
    (checkpoint / "model.safetensors").write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"model\.safetensors: 0 bytes, "):
        evaluate(checkpoint)
    assert report.read_bytes() == before
