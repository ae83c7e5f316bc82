"""The model card says what a checkpoint can do, what it was made from and what must be known before it is used."""

import re
import shlex
import shutil
from pathlib import Path

import pytest

from hlx_model.checkpoints.manifest import CheckpointError, read_manifest
from hlx_model.evaluation.evaluate import evaluate
from hlx_model.evaluation.verdict import Verdict
from hlx_model.files import read_json, write_json
from hlx_model.layout import Artifacts
from hlx_model.release.card import card, write_card
from hlx_model.reporting.numbers import format_interval, format_percent
from tests.support.command import Hlx
from tests.support.curriculum import Curriculum, copied, stopped, trained


def report_of(checkpoint: Path) -> Path:
    return Artifacts.of_checkpoint(checkpoint).report(checkpoint)


def banner(text: str) -> str:
    """Return the warning below the title."""
    return "\n".join(line for line in text.splitlines() if line.startswith(">"))


def cells(line: str) -> int:
    return len(re.findall(r"(?<!\\)\|", line)) - 1


def tables_are_whole(text: str) -> bool:
    """Whether each row of each table has as many cells as its header, with nothing between the rows."""
    blocks = [block.splitlines() for block in text.split("\n\n") if block.startswith("|")]
    return bool(blocks) and all(cells(line) == cells(block[0]) for block in blocks for line in block)


def test_the_card_of_a_translator_has_rates_with_intervals_and_samples(curriculum: Curriculum) -> None:
    three = curriculum.phases[3]
    text, f = card(three.checkpoint), three.evaluation.report.to_json()["figures"]
    for format, rates in f["to_hlx"].items():
        shown = f"{format_percent(rates['exact_match'])} ({format_interval(rates['exact_match_interval'])})"
        (row,) = [line for line in text.splitlines() if line.startswith(f"| English → {format} |")]
        assert shown in row and row.endswith(f"| {rates['samples']} |")
    for name in ("held_out_loss", "perplexity", "unigram_baseline", "bigram_baseline"):
        assert f"{f[name]:.4g}" in text
    assert "`map`" in text.partition("| operation, the worst first")[2]
    assert "492,149 parameters" in text and tables_are_whole(text)


@pytest.mark.parametrize("phase", [1, 2, 3])
def test_it_names_verdict_grade_every_gate_and_every_input(curriculum: Curriculum, phase: int) -> None:
    one = curriculum.phases[phase]
    text, manifest = card(one.checkpoint), one.outcome.manifest
    verdict, grade = one.evaluation.verdict, one.evaluation.report.to_json()["grade"]
    sign = {"pass": "✅", "warn": "⚠️"}[verdict.outcome]
    assert f"**Grade {grade['letter']}**" in text and f"{sign} {verdict.outcome}" in text
    assert all(f"`{gate.name}`" in text for gate in verdict.gates)
    (document,) = manifest.corpora["english_corpus"].documents
    assert f"| `{Path(document.name).name}` | `{document.sha256}` | {document.bytes:,} |" in text
    assert all(f"| `{asset}` | `{version.data_version}` |" in text for asset, version in manifest.corpora.items())
    for before in range(1, phase):
        parent = curriculum.phases[before]
        assert f"`{parent.outcome.manifest.training_id}/{parent.checkpoint.name}`" in text
    assert all(f"| `{name}` | `{value}` |" in text for name, value in manifest.settings.items())
    assert "`the run`" in text and manifest.created in text and manifest.weights_sha256 in text
    assert banner(text) == "" and tables_are_whole(text) and "None" not in text


def test_it_begins_its_figures_with_the_evaluation(curriculum: Curriculum, tmp_path: Path) -> None:
    exam = tmp_path / "exam_1.md"
    exam.write_text("English: Search for kites\nHLXL: 7\n", encoding="utf-8")
    checkpoint = copied(curriculum, tmp_path / "artifacts", 3)
    evaluate(checkpoint, documents=[exam])
    figures = card(checkpoint).partition("## What it can do")[2]
    said, line = figures.strip().split("\n\n")[:2]
    assert said.startswith("**It ") and " is right on 0 of 4 answers in HLX to sentences that people wrote" in said
    assert line.startswith("Sentences that no model is trained on: **evaluation (exam_1.md): 0.0% right (0.0–")
    assert "4 answers to new sentences" in figures


def test_a_model_without_a_letter_has_no_grade_in_its_card(curriculum: Curriculum, tmp_path: Path) -> None:
    checkpoint = copied(curriculum, tmp_path / "artifacts", 1)
    directory = report_of(checkpoint)
    content = read_json(directory / "report.json")
    content["grade"] |= {"letter": None, "capped": "nothing was held out"}
    write_json(directory / "report.json", content)
    Verdict.read(directory).write(directory)
    text = card(checkpoint)
    assert f"**No grade**, {content['grade']['points']:g} of 100 points: nothing was held out.\n" in text


def test_its_front_matter_is_yaml_without_a_license(curriculum: Curriculum) -> None:
    yaml = pytest.importorskip("yaml")
    for phase in (1, 3):
        _, head, _ = card(curriculum.phases[phase].checkpoint).split("---\n", 2)
        found = yaml.safe_load(head)
        assert found["library_name"] == "hlx-brain" and f"phase-{phase}" in found["tags"]
        assert found["metrics"] == ["perplexity", "exact_match"][: 1 if phase == 1 else 2]
        assert "license" not in found


def test_it_is_written_outside_the_sealed_reports(curriculum: Curriculum, tmp_path: Path) -> None:
    checkpoint = copied(curriculum, tmp_path / "artifacts", 3)
    path = write_card(checkpoint)
    training_id = read_manifest(checkpoint).training_id
    assert path == tmp_path / "artifacts" / "cards" / training_id / checkpoint.name / "README.md"
    assert path.read_text(encoding="utf-8") == card(checkpoint)
    assert not (report_of(checkpoint) / path.name).exists()
    assert write_card(checkpoint) == path


def test_the_commands_in_it_run_as_they_are_written(
    hlx: Hlx, curriculum: Curriculum, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for phase, commands in ((3, ["translate", "validate", "export"]), (1, ["validate", "export"])):
        text = card(copied(curriculum, tmp_path / f"it's phase {phase}", phase))
        lines = text.partition("```sh\n")[2].partition("\n```")[0].splitlines()
        assert [shlex.split(line)[:2] for line in lines] == [["hlx", command] for command in commands]
        for line in lines:
            ran = hlx(*shlex.split(line)[1:])
            assert ran.code in (0, 2) and ran.out and "error" not in ran.err
        shutil.rmtree("exported")


def test_a_card_without_a_report_says_so_first_and_how_to_get_one(curriculum: Curriculum, tmp_path: Path) -> None:
    checkpoint = copied(curriculum, tmp_path / "artifacts", 3)
    shutil.rmtree(report_of(checkpoint))
    text = card(checkpoint)
    assert "it was never evaluated" in banner(text)
    assert f"hlx validate --checkpoint {checkpoint}" in text and tables_are_whole(text)
    assert "exact match" not in text and "Grade" not in text


def test_a_stopped_training_and_its_children_say_so_first(small_document: Path, tmp_path: Path) -> None:
    checkpoint = stopped(small_document, tmp_path)
    reason = read_manifest(checkpoint).stopped
    assert reason and "never evaluated" in banner(card(checkpoint)) and reason in banner(card(checkpoint))
    assert evaluate(checkpoint).verdict.outcome == "fail"
    text = card(checkpoint)
    assert "it did not pass its gates: training_completed" in banner(text) and reason in banner(text)
    assert "❌ fail" in text and tables_are_whole(text)

    child = trained(small_document, tmp_path, phase=2, parent=checkpoint)
    evaluate(child)
    text, name = card(child), f"{read_manifest(checkpoint).training_id}/{checkpoint.name}"
    assert f"it was made from {name} although its gate was closed (--ungated)" in banner(text)
    assert f"**Made although the gate of `{name}` was closed (`--ungated`).**" in text
    (row,) = [line for line in text.splitlines() if line.startswith(f"| `{name}`")]
    assert row.endswith("| ❌ fail |")


def test_a_training_resumed_by_hand_says_so_first(small_document: Path, tmp_path: Path) -> None:
    first = trained(small_document, tmp_path)
    again = trained(small_document, tmp_path, parent=first, epochs=2, learning_rate=5e-4)
    text, name = card(again), f"{read_manifest(first).training_id}/{first.name}"
    assert f"it was resumed by hand from {name}" in banner(text)
    assert f"**Resumed by hand from `{name}`.**" in text


def test_a_verdict_of_other_gates_is_void(
    curriculum: Curriculum, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = copied(curriculum, tmp_path / "artifacts", 1)
    monkeypatch.setattr("hlx_model.evaluation.verdict.GATES_VERSION", "5-other")
    assert "it was not judged by new gates" in banner(card(checkpoint)) and "5-other" in banner(card(checkpoint))


def test_a_report_of_another_version_gives_no_figures(curriculum: Curriculum, tmp_path: Path) -> None:
    checkpoint = copied(curriculum, tmp_path / "artifacts", 3)
    directory = report_of(checkpoint)
    content = read_json(directory / "report.json")
    write_json(directory / "report.json", {"schema": "hlx-report/1", "gates": content["gates"]})
    Verdict.read(directory).write(directory)
    text = card(checkpoint)
    assert "Its report is of another version of this program" in text and "⚠️ warn" in text
    assert tables_are_whole(text)


@pytest.mark.parametrize("name", ["report.json", "verdict.json"])
def test_a_changed_report_gives_no_card(curriculum: Curriculum, tmp_path: Path, name: str) -> None:
    checkpoint = copied(curriculum, tmp_path / "artifacts", 3)
    path = report_of(checkpoint) / name
    path.write_text(path.read_text(encoding="utf-8").replace('"warn"', '"pass"', 1), encoding="utf-8")
    with pytest.raises(CheckpointError, match=rf"{name}.*evaluate it again: `hlx validate") as refused:
        card(checkpoint)
    assert "\n" not in str(refused.value)


def test_names_and_texts_of_users_and_models_break_no_table(
    small_document: Path, curriculum: Curriculum, tmp_path: Path
) -> None:
    strange = tmp_path / "a|b `c`\n# d.md"
    shutil.copy(small_document, strange)
    text = card(trained(strange, tmp_path / "named"))
    assert "a\\|b `c`⏎# d.md" in text and tables_are_whole(text)

    checkpoint = copied(curriculum, tmp_path / "artifacts", 3)
    directory = report_of(checkpoint)
    content = read_json(directory / "report.json")
    f = content["figures"]
    f["by_operation"] = {"se|arch\n\n# a heading": f["by_operation"]["map"]}
    content["grade"]["parts"][0]["why"] = "<script>|x|\n| y |"
    write_json(directory / "report.json", content)
    Verdict.read(directory).write(directory)
    text = card(checkpoint)
    assert "`se\\|arch⏎⏎# a heading`" in text and "\\<script>\\|x\\|⏎\\| y \\|" in text
    assert tables_are_whole(text) and "\n# a heading" not in text


def test_a_missing_manifest_is_one_line(tmp_path: Path) -> None:
    for path, said in ((tmp_path / "none", "no such checkpoint"), (tmp_path, "manifest.json is missing")):
        with pytest.raises(CheckpointError, match=said):
            card(path)


def test_a_checkpoint_copied_alone_has_a_card_without_figures(curriculum: Curriculum, tmp_path: Path) -> None:
    alone = Path(shutil.copytree(curriculum.phases[3].checkpoint, tmp_path / "alone"))
    text = card(alone)
    assert "it was never evaluated" in banner(text) and "| missing |" in text and tables_are_whole(text)
