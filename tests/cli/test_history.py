"""`hlx history` and `hlx history compare`."""

import json
import re
import shutil
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hlx_model.checkpoints.seal import verify_checkpoint
from hlx_model.cli.history import contrasts
from hlx_model.corpus.documents import short_name
from hlx_model.corpus.entries import DocumentRef
from hlx_model.evaluation.evaluate import evaluate
from hlx_model.files import read_json, write_json
from hlx_model.history import TrainingRow
from hlx_model.layout import HISTORY, Artifacts
from hlx_model.runs.heartbeat import Heartbeat
from hlx_model.training.loop import train
from hlx_model.training.plan import plan_training
from tests.support.command import Hlx
from tests.support.curriculum import CPU, QUICK, SCHEDULES, Curriculum
from tests.support.damage import seal
from tests.support.reports import FORMATS, rates

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def trainings(curriculum: Curriculum, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The trainings of the curriculum, and one more of phase 3 at another learning rate and batch size, evaluated."""
    root = tmp_path_factory.mktemp("history") / "artifacts"
    shutil.copytree(curriculum.root, root)
    parent = root / curriculum.phases[2].checkpoint.relative_to(curriculum.root)
    plan = plan_training(
        3, QUICK, replace(SCHEDULES[3], learning_rate=3e-3, batch_size=8),
        corpus=[curriculum.document], training=root / "training", parent=verify_checkpoint(parent),
        parent_verdict=curriculum.phases[2].evaluation.verdict.parent_verdict,
    )  # fmt: skip
    evaluate(train(plan, execution=CPU).checkpoint)
    return root / "training"


@pytest.fixture
def other(trainings: Path, curriculum: Curriculum) -> str:
    """The id of that one."""
    (found,) = {path.name for path in trainings.iterdir() if path.is_dir()} - {
        trained.plan.id for trained in curriculum.phases.values()
    }
    return found


@pytest.fixture
def forged() -> Iterator[Callable[..., None]]:
    """Changes the content of a manifest, with a digest that fits; as it was when the test has ended."""
    before: dict[Path, bytes] = {}

    def forge(checkpoint: Path, change: Callable[[dict[str, Any]], None]) -> None:
        path = checkpoint / "manifest.json"
        before[path] = path.read_bytes()
        content = read_json(path)
        change(content)
        seal(path, content)

    yield forge
    for path, content in before.items():
        path.write_bytes(content)


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def svg(path: Path) -> ET.Element:
    return ET.fromstring(path.read_text(encoding="utf-8"))


def lines(figure: ET.Element) -> dict[str, int]:
    """The curves by their classes, each with the number of its points."""
    return {str(line.get("class")): len((line.get("points") or "").split()) for line in figure.iter(f"{SVG}polyline")}


def test_it_shows_the_newest_first_and_writes_the_file(hlx: Hlx, trainings: Path, other: str) -> None:
    ran = hlx("history", "--checkpoint-dir", trainings)
    first, *_, last = [line for line in ran.out.splitlines() if " completed " in line]
    assert ran.code == 0 and ran.err == ""
    assert first.split()[0] == other and first.split()[3:5] == ["3", "tiny"] and " 8/8 " in first
    assert last.split()[3:5] == ["1", "tiny"] and " 30/30 " in last
    assert "trainings:" not in ran.out and (trainings.parent / HISTORY).exists()


def test_it_says_how_many_there_are_if_it_shows_fewer(hlx: Hlx, trainings: Path) -> None:
    shown = hlx("history", "--checkpoint-dir", trainings, "--limit", 1).out
    assert shown.count(" completed ") == 1 and "the newest 1 of 4 trainings: --limit 4 shows all" in shown
    content = json.loads(hlx("history", "--checkpoint-dir", trainings, "--limit", 1, "--json").out)
    assert content["total"] == 4 and [row["phase"] for row in content["trainings"]] == [3]


def test_json_has_all_figures_of_all_trainings(hlx: Hlx, trainings: Path, other: str, curriculum: Curriculum) -> None:
    content = json.loads(hlx("history", "--checkpoint-dir", trainings, "--json").out)
    newest = content["trainings"][0]
    assert newest["training_id"] == other and newest["setting_learning_rate"] == 3e-3
    assert newest["parent_training_id"] == curriculum.phases[2].plan.id and newest["verdict"] in ("warn", "fail")
    assert isinstance(newest["exact_match_to_hlx"], float)
    assert [row["phase"] for row in content["trainings"]] == [3, 3, 2, 1]


@pytest.mark.parametrize("columns", [60, 80, 120, 150])
def test_it_fits_a_terminal_and_breaks_nothing(
    hlx: Hlx, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    beat = Heartbeat("0123456789abcdef", 3, "250m", 1000, status="quality_failed", epoch=1000, started=1.75e9)
    beat.train_loss, beat.held_out_loss = float("nan"), 12345.678
    (tmp_path / "training" / beat.training_id).mkdir(parents=True)
    beat.write(tmp_path / "training" / beat.training_id)
    shown = hlx("history", "--checkpoint-dir", tmp_path / "training").out
    for cell in ("01234567", "2025-06-15", "15:06", "3 250m", "quality_failed", "1.2e+04"):
        assert re.search(rf"(?<!\S){re.escape(cell)}", shown), cell
    assert all(len(line) <= columns for line in shown.splitlines()) and "…" not in shown
    content = json.loads(hlx("history", "--checkpoint-dir", tmp_path / "training", "--json").out)
    assert content["trainings"][0]["train_loss"] == "nan"


def test_a_trainer_whose_process_is_gone_is_shown(hlx: Hlx, tmp_path: Path) -> None:
    beat = Heartbeat("0123456789abcdef", 1, "tiny", 10, status="training")
    directory = tmp_path / "training" / beat.training_id
    directory.mkdir(parents=True)
    for pid, message in ((beat.pid, "training"), (2**22, "process gone")):
        beat.pid = pid
        beat.write(directory)
        assert f" 1 tiny {message} " in " ".join(hlx("history", "--checkpoint-dir", tmp_path / "training").out.split())


def test_a_folder_without_trainings_is_reported_as_empty(hlx: Hlx, tmp_path: Path) -> None:
    ran = hlx("history", "--checkpoint-dir", tmp_path)
    assert ran.code == 0 and ran.out == f"{tmp_path} contains no training\n"
    assert json.loads(hlx("history", "--checkpoint-dir", tmp_path, "--json").out) == {"total": 0, "trainings": []}
    assert not list(tmp_path.iterdir())


def test_a_missing_folder_is_refused(hlx: Hlx, tmp_path: Path) -> None:
    for command in (("history",), ("lineage", "uses", "--text", "Search for documents")):
        ran = hlx(*command, "--checkpoint-dir", tmp_path / "nowhere")
        assert ran.code == 1 and "nowhere: no such folder, so nothing was trained here: name the folder" in ran.error


def row(name: str, phase: int = 1, **fields: object) -> TrainingRow:
    """A training that has a checkpoint."""
    return TrainingRow(training_id=name * 16, phase=phase, size="tiny", checkpoint="c", **fields)  # type: ignore[arg-type]


def test_the_corpus_and_the_settings_that_differ_are_shown(
    hlx: Hlx, trainings: Path, other: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for columns in ("160", "80", "60"):
        monkeypatch.setenv("COLUMNS", columns)
        shown = hlx("history", "--checkpoint-dir", trainings).out
        assert shown.count("small.md ") == 4
        # Only the two of phase 3 can differ from each other.
        for setting in ("lr 0.003", "lr 0.006", "batch size 8", "batch size 4"):
            assert shown.count(setting) == 1, columns
        assert not any(word in shown for word in ("seed", "optimizer", "replay", "epochs 8"))
    newest, before, *_ = json.loads(hlx("history", "--checkpoint-dir", trainings, "--json").out)["trainings"]
    assert newest["documents"] == before["documents"] == ["small.md"]


@pytest.mark.parametrize("columns", [60, 80, 120, 150, 200])
def test_a_long_name_of_a_document_is_folded_and_nothing_else(
    hlx: Hlx, trainings: Path, other: str, monkeypatch: pytest.MonkeyPatch, forged: Callable[..., None], columns: int
) -> None:
    def rename(content: dict[str, Any]) -> None:
        content["corpora"]["paired_corpus"]["documents"][0]["name"] = f"{'all-' * 30}\nvariants.md"

    forged(trainings / other / "checkpoints" / "phase3_FINAL_epoch8", rename)
    monkeypatch.setenv("COLUMNS", str(columns))
    shown = hlx("history", "--checkpoint-dir", trainings).out
    assert all(len(line) <= columns for line in shown.splitlines())
    ids = [
        row["training_id"]
        for row in json.loads(hlx("history", "--checkpoint-dir", trainings, "--json").out)["trainings"]
    ]
    words = shown.split()
    assert all((one if columns >= 150 else one[:8]) in words for one in ids)
    assert (
        len(re.findall(r"(?<!\S)\d{4}-\d\d-\d\d(?!\S)", shown))
        == len(re.findall(r"(?<!\S)\d\d:\d\d(?!\S)", shown))
        == 4
    )
    assert words.count("completed") == 4 and "".join(words).count("all-") > 10


def test_composed_entries_and_documents_are_named_shortly() -> None:
    composed = DocumentRef(
        name="composed-30000-seed-0.md", sha256="ab" * 32, bytes=1,
        source="composed: 30000 entries, seed 0, without the sentences above",
    )  # fmt: skip
    users = DocumentRef(name="/home/me/composed: 5.md", sha256="cd" * 32, bytes=1, source="/home/me/composed: 5.md")
    assert [short_name(document) for document in (composed, users)] == ["composed 30,000", "composed: 5.md"]


def test_the_version_of_a_corpus_is_shown_if_its_names_do_not_tell_it() -> None:
    one = row("a", documents=["x.md"], english_corpus_version="1" * 64)
    same, edited = row("b", documents=["x.md"], english_corpus_version="1" * 64), "2" * 64
    assert contrasts([one, same]) == [("x.md", ""), ("x.md", "")]
    assert contrasts([one, row("b", documents=["x.md"], english_corpus_version=edited)]) == [
        ("x.md 11111111", ""), ("x.md 22222222", "")
    ]  # fmt: skip
    # Other names tell them apart, and the corpora of two phases are different assets.
    assert contrasts([one, row("b", documents=["x.md", "composed 5"], english_corpus_version=edited)])[0] == (
        "x.md",
        "",
    )
    assert contrasts([one, row("b", 2, documents=["x.md"], hlx_corpus_version=edited)])[1] == ("x.md", "")
    assert contrasts([row("a", english_corpus_version="1" * 64)]) == [("11111111", "")]  # an older manifest


def test_settings_are_compared_within_a_phase_and_a_size() -> None:
    one = row("a", setting_learning_rate=1e-4, setting_seed=0, setting_mixed_precision=True, epochs=5)
    other = row("b", setting_learning_rate=1e-4, setting_seed=1, setting_mixed_precision=False, epochs=5)
    assert [cells for _, cells in contrasts([one, other])] == [
        "seed 0, mixed precision on", "seed 1, mixed precision off"
    ]  # fmt: skip
    assert contrasts([one, other.replace(size="10m")]) == [("", "")] * 2
    assert contrasts([one, other.replace(phase=2)]) == [("", "")] * 2
    # A setting that is not recorded has no value; a training without a checkpoint has no settings yet.
    unrecorded = other.replace(setting_seed=None, setting_mixed_precision=True, epochs=7)
    assert [cells for _, cells in contrasts([one, unrecorded])] == ["epochs 5, seed 0", "epochs 7"]
    assert contrasts([one, unrecorded.replace(checkpoint=None)]) == [("", ""), ("", "")]


def test_compare_names_the_settings_that_differ_and_no_other(
    hlx: Hlx, trainings: Path, other: str, curriculum: Curriculum, here: Path
) -> None:
    mine = curriculum.phases[3].plan.id
    ran = hlx("history", "compare", mine, other[:8], "--checkpoint-dir", trainings, "--json")
    content = json.loads(ran.out)
    assert content["differences"] == {"settings": {"batch_size": [4, 8], "learning_rate": [6e-3, 3e-3]}}
    report = curriculum.phases[3].evaluation.report.to_json()
    of_mine = content["figures"]["a"]
    assert content["a"] == report["checkpoint"] and of_mine["verdict"] == report["outcome"]
    expected = report["figures"]["all_to_hlx"]
    assert of_mine["exact_match_to_hlx"] == {
        "rate": expected["exact_match"], "interval": expected["exact_match_interval"], "samples": expected["samples"]
    }  # fmt: skip
    assert set(content["b_is"]) == {"judged_held_out_loss", "exact_match_to_hlx", "exact_match_to_english"}
    assert content["figure"] == f"compare-{mine[:8]}-{other[:8]}.svg" and (here / content["figure"]).exists()


def test_compare_prints_two_tables(hlx: Hlx, trainings: Path, other: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    content = json.loads(hlx("history", "--checkpoint-dir", trainings, "--json").out)
    mine = content["trainings"][1]["training_id"]
    shown = hlx("history", "--checkpoint-dir", trainings, "compare", mine, other, "--output", "both.svg").out
    assert f"A  {mine}/phase3_FINAL_epoch8" in shown and f"B  {other}/phase3_FINAL_epoch8" in shown
    differing = shown[: shown.index("figure")]
    assert "batch_size    4     8" in differing and "learning_rate 0.006 0.003" in differing
    assert not any(name in differing for name in ("seed", "optimizer", "corpus", "parent", "commit", "device", "torch"))
    assert "exact match →English" in shown and "(0.0–32.4%) of 8" in shown
    assert shown.endswith("the figure is in both.svg\n") and all(len(line) <= 80 for line in shown.splitlines())


def test_the_figure_contains_the_curves_and_the_bars_of_both(
    hlx: Hlx, trainings: Path, other: str, curriculum: Curriculum, here: Path
) -> None:
    root = Artifacts(trainings).root
    mine = root / curriculum.phases[3].checkpoint.relative_to(curriculum.root)
    path = Artifacts(trainings).report(mine) / "report.json"
    report = read_json(path)
    changed = json.loads(json.dumps(report))
    for i, format in enumerate(FORMATS):
        changed["figures"]["to_hlx"][format] = rates(10 * i, 40)
    changed["figures"]["all_to_english"] = rates(0, 0)
    write_json(path, changed)
    assert hlx("history", "compare", mine, other, "--checkpoint-dir", trainings, "--output", "f.svg").code == 0
    write_json(path, report)
    figure = svg(here / "f.svg")
    curve = report["curve"]
    held_out = sum(row["held_out_loss"] is not None for row in curve)
    assert lines(figure)["series training a"] == len(curve) - held_out
    assert lines(figure)["series validation a"] == held_out
    assert lines(figure)["series training b"] > 1 and lines(figure)["series validation b"] == 8
    bars = {"a": 4 + 4 + 1, "b": 5 + 5}  # A has no rate of all into English
    for key, number in bars.items():
        found = [bar for bar in figure.iter(f"{SVG}rect") if bar.get("class") == key]
        assert len(found) == number, key
    heights = [float(bar.get("height") or 0) for bar in figure.iter(f"{SVG}rect") if bar.get("class") == "a"][:4]
    assert heights == pytest.approx([0, 47.5, 95, 142.5])
    message = " ".join(figure.itertext())
    assert "A, English → HLX, LC-T: 50.0% of 40, 95% interval 35.2–64.8%" in message
    for label in (*FORMATS, "all", "training", "validation", f"{other[:8]}/phase3_FINAL_epoch8", "100%"):
        assert label in message


def test_two_phases_are_compared_with_a_caution_and_no_absent_bars(
    hlx: Hlx, trainings: Path, curriculum: Curriculum, here: Path
) -> None:
    names = [trained.plan.id for trained in curriculum.phases.values()]
    shown = hlx("history", "compare", names[0], names[1], "--checkpoint-dir", trainings, "--output", "12.svg").out
    assert "they are of different phases" in shown and "exact match" not in shown
    assert f"{names[0]}/phase1_FINAL_epoch30" in shown[shown.index("differs") :]
    assert not list(svg(here / "12.svg").iter(f"{SVG}rect"))
    hlx("history", "compare", names[0], names[2], "--checkpoint-dir", trainings, "--output", "13.svg")
    figure = svg(here / "13.svg")
    assert {bar.get("class") for bar in figure.iter(f"{SVG}rect")} == {"b"}
    assert "A: no report of phase 3" in " ".join(figure.itertext())


def test_two_checkpoints_of_one_training_have_no_differences(
    hlx: Hlx, trainings: Path, curriculum: Curriculum, caplog: pytest.LogCaptureFixture
) -> None:
    trained = curriculum.phases[1]
    first = f"{trained.plan.id}/phase1_epoch10"
    ran = hlx("history", "compare", first, trained.plan.id, "--checkpoint-dir", trainings)
    assert "nothing that they were made from differs" in ran.out
    assert "phase1_epoch10 was not evaluated: evaluate it: `hlx validate --checkpoint " in caplog.text


def test_checkpoints_without_curve_and_report_are_compared(hlx: Hlx, curriculum: Curriculum, tmp_path: Path) -> None:
    for phase in (1, 2):
        shutil.copytree(curriculum.phases[phase].checkpoint, tmp_path / "copies" / "x" / str(phase))
    paths = [tmp_path / "copies" / "x" / str(phase) for phase in (1, 2)]
    ran = hlx("history", "compare", *paths, "--output", tmp_path / "figure.svg")
    assert ran.code == 0 and "the figure is in" in ran.out


def test_other_corpora_code_and_device_are_named(
    hlx: Hlx, trainings: Path, other: str, curriculum: Curriculum, forged: Callable[..., None]
) -> None:
    def change(content: dict[str, Any]) -> None:
        content["corpora"]["paired_corpus"]["data_version"] = "f" * 64
        content["device"], content["versions"]["torch"] = "cuda (NVIDIA H200)", "9.9"
        content["code"] |= {"commit": "c" * 40, "dirty": True}
        del content["settings"]["prompt_weight"]

    forged(trainings / other / "checkpoints" / "phase3_FINAL_epoch8", change)
    mine = curriculum.phases[3].plan.id
    ran = hlx("history", "compare", mine, other, "--checkpoint-dir", trainings, "--json")
    content = json.loads(ran.out)
    assert set(content["differences"]) == {"settings", "corpora", "code", "device", "packages"}
    assert content["differences"]["settings"]["prompt_weight"][1] is None
    assert content["differences"]["device"] == {"device": ["cpu", "cuda (NVIDIA H200)"]}
    assert content["cautions"][0].startswith("their corpora differ")
    assert "B: trained with changes that are not in the recorded commit" in content["cautions"][-1]
    shown = hlx("history", "compare", mine, other, "--checkpoint-dir", trainings).out
    assert "ffffffffffff" in shown and "f" * 64 not in shown and "cuda (NVIDIA H200)" in shown


def test_what_cannot_be_compared_is_one_line(
    hlx: Hlx, trainings: Path, other: str, curriculum: Curriculum, here: Path
) -> None:
    for arguments, message in (
        (("feedfeedfeed", other), "feedfeedfeed: no such checkpoint, asset, or training in"),
        ((other, other[:6]), f"{other} and {other[:6]} are the same checkpoint, phase3_FINAL_epoch8: name two"),
        (
            (other, curriculum.phases[3].plan.id, "--output", "figure.png"),
            "figure.png: the figure is written as SVG: name a file that ends in .svg",
        ),
    ):
        ran = hlx("history", "compare", *arguments, "--checkpoint-dir", trainings)
        assert ran.code == 1 and ran.err == f"{ran.error}\n" and message in ran.error
    assert not list(here.iterdir())


def test_a_training_whose_checkpoint_is_broken_is_one_line(hlx: Hlx, trainings: Path, other: str, here: Path) -> None:
    shutil.copytree(trainings / other, here / "training" / other)
    checkpoint = here / "training" / other / "checkpoints" / "phase3_FINAL_epoch8"
    (checkpoint / "manifest.json").write_text("{}")
    ran = hlx("history", "compare", checkpoint, other, "--checkpoint-dir", trainings)
    assert ran.code == 1 and "manifest.json: its digest does not fit its content: use another" in ran.error
