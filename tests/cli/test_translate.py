"""`hlx translate`: which model translates, what standard error tells of it, and what is refused."""

import io
import json
import os
import shutil
from pathlib import Path

import pytest

from hlx_model.checkpoints import weights as checkpoints
from hlx_model.checkpoints.manifest import read_manifest
from hlx_model.checkpoints.seal import verify_checkpoint
from hlx_model.cli.translate import MOST_BYTES
from hlx_model.files import read_json
from hlx_model.layout import Artifacts
from hlx_model.model.generation import generate
from hlx_model.reporting.conclusion import conclusion
from hlx_model.runs.directory import TrainingResult
from hlx_model.runs.passing import choose
from tests.support.command import Hlx
from tests.support.curriculum import Curriculum, copied
from tests.support.damage import reseal


def test_translating_writes_what_the_model_answers(hlx: Hlx, curriculum: Curriculum) -> None:
    checkpoint = curriculum.phases[3].checkpoint
    (expected,) = generate(
        checkpoints.load_model(verify_checkpoint(checkpoint)), ["[LC-T] Sort all users → "], max_new_tokens=200
    )
    ran = hlx("translate", "Sort all users", "--to", "LC-T", "--checkpoint", checkpoint)
    assert (ran.code, ran.out) == (0, f"{expected}\n")
    as_json = json.loads(hlx("translate", "Sort all users", "--to", "LC-T", "--checkpoint", checkpoint, "--json").out)
    assert as_json == {"text": expected, "to": "LC-T", "parses": as_json["parses"], "checkpoint": str(checkpoint)}
    trained = curriculum.phases[3]
    report = trained.evaluation.report
    assert report.translation is not None
    right = round(8 * report.translation.all_to_hlx.exact_match)
    assert f" and is right on {right} of 8 answers in HLX to sentences that it has not seen" in conclusion(report)
    trust = (
        f"{conclusion(report)}\n"
        f"warning: {trained.plan.id}/phase3_FINAL_epoch8: verdict warn, learned by heart, not shown to generalize\n"
    )
    assert ran.err == trust + ("" if as_json["parses"] else "warning: the answer is not well-formed LC-T\n")


def test_the_newest_finished_phase_3_translates_if_none_is_named(
    hlx: Hlx, curriculum: Curriculum, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "elsewhere"))
    (tmp_path / "elsewhere" / "artifacts" / "training").mkdir(parents=True)
    ran = hlx("translate", "Sort")
    assert "contains no finished phase 3: run `make curriculum`, or name a checkpoint" in ran.error
    monkeypatch.delenv("DAGSTER_HOME")
    for folder in ("training", "reports"):
        shutil.copytree(curriculum.root / folder, tmp_path / "dagster_home" / "artifacts" / folder)
    final = Path("dagster_home/artifacts/training", curriculum.phases[3].plan.id, "checkpoints", "phase3_FINAL_epoch8")
    copy = final.with_name(f"{final.name}.bak")  # somebody's, and newer
    copy.mkdir()
    shutil.copy(final / "manifest.json", copy)
    (line,) = hlx("translate", "Sort all users", "--json").out.splitlines()
    assert json.loads(line)["checkpoint"] == str(tmp_path / final)
    within = ("--checkpoint-dir", tmp_path / final.parents[2])
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert json.loads(hlx("translate", "Sort all users", "--json", *within).out)["checkpoint"] == str(tmp_path / final)


def test_an_older_model_that_was_copied_or_touched_is_not_the_newest(
    hlx: Hlx, curriculum: Curriculum, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    newer = copied(curriculum, tmp_path / "home" / "artifacts", 3)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home"))
    older = newer.parents[2] / "0123456789abcdef" / "checkpoints" / newer.name
    shutil.copytree(newer, older)
    report = Artifacts.of_checkpoint(newer).report(newer)
    shutil.copytree(report, Artifacts.of_checkpoint(older).report(older))
    reseal(older / "manifest.json", training_id=older.parents[1].name, created="2026-01-01T00:00:00+00:00")
    os.utime(newer / "manifest.json", (1e9, 1e9))
    assert json.loads(hlx("translate", "Sort all users", "--json").out)["checkpoint"] == str(newer)


def test_the_best_one_translates_if_passed_on_or_if_the_final_one_failed(
    hlx: Hlx, curriculum: Curriculum, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    final = copied(curriculum, tmp_path / "home" / "artifacts", 3)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home"))
    (best,) = final.parent.glob("phase3_BEST_*")
    report, of_best = (Artifacts.of_checkpoint(path).report(path) / "verdict.json" for path in (final, best))

    def newest() -> str:
        return str(json.loads(hlx("translate", "Sort all users", "--json").out)["checkpoint"])

    choose(TrainingResult.of(final, found=True), "best")
    assert newest() == str(final), "the best one has no verdict"
    shutil.copytree(report.parent, of_best.parent)
    reseal(of_best, weights_sha256=read_manifest(best).weights_sha256)
    assert newest() == str(best)
    choose(TrainingResult.of(final, found=True), "final")
    assert newest() == str(final)
    reseal(report, outcome="fail")
    assert newest() == str(best)


def test_a_model_that_failed_its_gates_translates_only_if_it_is_named(
    hlx: Hlx, curriculum: Curriculum, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = copied(curriculum, tmp_path / "home" / "artifacts", 3)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home"))
    verdict = Artifacts.of_checkpoint(copy).report(copy) / "verdict.json"
    gates = [{**gate, "outcome": "fail"} for gate in read_json(verdict)["gates"][:1]]
    reseal(verdict, outcome="fail", gates=gates)
    ran = hlx("translate", "Sort all users")
    assert ran.code == 1 and f"no finished phase 3 in {copy.parents[2]} passed its gates" in ran.error
    named = hlx("translate", "Sort all users", "--checkpoint", f"{copy.parents[1].name}/{copy.name}")
    assert named.code == 0 and "warning: " in named.err and "verdict fail (training_completed)" in named.err
    assert named.err.startswith("It failed the gate ") or named.err.startswith("It knows its training pairs ")
    (verdict.parent / "report.json").unlink()
    unsaid = hlx("translate", "Sort all users", "--checkpoint", copy).err
    assert unsaid.startswith("warning: ") and "verdict fail (training_completed); no report on these weights" in unsaid
    shutil.rmtree(verdict.parent)
    assert hlx("translate", "Sort all users").code == 1
    assert "was never evaluated: `hlx validate --checkpoint" in hlx("translate", "Sort", "--checkpoint", copy).err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("Sort", "--to", "LC-X"), "to is 'LC-X': choose one of HLXL, LC-R, LC-T, LC-B, English"),
        (("café",), "text has characters that the model does not know: 'é'"),
        ((" ",), "text is empty: give a sentence, or a line of HLX"),
        (("Sort all users", "--to", "English"), "text is no line of HLX: to translate a sentence, name a format"),
        (('{1000: {@0: "sea', "--to", "English"), "text is no line of HLX: to translate a sentence, name a format"),
        (("a" * 600,), "at most 500 fit"),
        (("Sort", "--checkpoint", "nowhere"), "nowhere: no such checkpoint"),
    ],
)
def test_what_cannot_be_translated_is_one_line(
    hlx: Hlx, curriculum: Curriculum, arguments: tuple[str, ...], said: str
) -> None:
    chosen = () if "--checkpoint" in arguments else ("--checkpoint", curriculum.phases[3].checkpoint)
    ran = hlx("translate", *arguments, *chosen)
    assert ran.code == 1 and ran.out == "" and ran.err == f"{ran.error}\n" and said in ran.error


def test_a_model_that_does_not_translate_is_refused(hlx: Hlx, curriculum: Curriculum) -> None:
    ran = hlx("translate", "Sort", "--checkpoint", curriculum.phases[1].checkpoint)
    assert (
        ran.code == 1 and "is of phase 1 (English), which does not translate: name a checkpoint of phase 3" in ran.error
    )


def test_each_line_of_standard_input_has_a_line_of_output(
    hlx: Hlx, curriculum: Curriculum, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = curriculum.phases[3].checkpoint
    texts = ["Sort all users", "café", "Search for documents"]
    model = checkpoints.load_model(verify_checkpoint(checkpoint))
    first, last = generate(model, ["[LC-T] Sort all users → ", "[LC-T] Search for documents → "], max_new_tokens=200)
    for dash in ((), ("-",)):
        piped(monkeypatch, "\n".join(texts))
        ran = hlx("translate", *dash, "--to", "LC-T", "--checkpoint", checkpoint)
        assert (ran.code, ran.out) == (1, f"{first}\n\n{last}\n")
        assert "line 2: text has characters that the model does not know: 'é'\n" in ran.err
        assert ran.error == "error: lines that were not translated: 1"


def test_lines_of_json_name_their_own_directions(
    hlx: Hlx, curriculum: Curriculum, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = curriculum.phases[3].checkpoint
    piped(
        monkeypatch,
        """{"text": "Sort all users", "to": "LC-T"}

        {"text": "Sort all users"}
        {"text": "null", "to": "LC-R", "from": "English"}
        {"text": "Sort", "into": "LC-R"}
        Sort""",
    )
    ran = hlx("translate", "--jsonl", "--to", "LC-B", "--checkpoint", checkpoint)
    answers = [json.loads(line) for line in ran.out.splitlines()]
    assert [answer.get("to") for answer in answers] == ["LC-T", None, "LC-B", "LC-R", None, None]
    assert [*map(len, answers)] == [4, 1, 4, 4, 1, 1]
    assert answers[4]["error"] == "line 5: into: Extra inputs are not permitted"
    assert answers[5]["error"].startswith("line 6: the document: Invalid JSON") and ran.code == 1


def test_a_line_without_an_end_is_refused(hlx: Hlx, curriculum: Curriculum, monkeypatch: pytest.MonkeyPatch) -> None:
    piped(monkeypatch, "Sort\n" + "a" * (MOST_BYTES + 1))
    ran = hlx("translate", "--checkpoint", curriculum.phases[3].checkpoint)
    assert ran.code == 1 and "line 2 is longer than 1,048,576 bytes: give a text in each line" in ran.error


def test_a_text_is_given_once(hlx: Hlx, curriculum: Curriculum, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint = curriculum.phases[3].checkpoint
    assert "--jsonl reads standard input" in hlx("translate", "Sort", "--jsonl", "--checkpoint", checkpoint).error
    piped(monkeypatch, "", terminal=True)
    assert "there is no text" in hlx("translate", "--checkpoint", checkpoint).error
    piped(monkeypatch, "")
    assert hlx("translate", "--checkpoint", checkpoint).out == ""


def piped(monkeypatch: pytest.MonkeyPatch, text: str, *, terminal: bool = False) -> None:
    stdin = io.TextIOWrapper(io.BytesIO(text.encode()), encoding="utf-8")
    monkeypatch.setattr(stdin, "isatty", lambda: terminal)
    monkeypatch.setattr("sys.stdin", stdin)
