"""What the command `hlx` promises: its answers, its exit codes, and one line for every mistake."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hlx_model import __version__
from hlx_model.checkpoints import weights as checkpoints
from hlx_model.checkpoints.progress import read_state
from hlx_model.checkpoints.seal import verify_checkpoint
from hlx_model.corpus import parse_document
from hlx_model.layout import Artifacts
from hlx_model.model.sizes import SIZES
from hlx_model.model.transformer import Transformer
from hlx_model.runs.heartbeat import Heartbeat
from tests.support.command import Hlx, Ran
from tests.support.curriculum import Curriculum, copied
from tests.support.documents import small_text
from tests.support.processes import ended_process

LC_R = '🜊1000🜁0 "search"🜁1 ⟁documents🜂'
LC_B = '[1000|0:"search"|1:&documents]'
ENTRY = "English: {}\nHLXL: {}\nLC-R: {}\nLC-T: {}\nLC-B: [0x0{}]\n"


def entry(sentence: str, number: int) -> str:
    return ENTRY.format(sentence, *[number] * 4)


def test_the_installed_command_converts(tmp_path: Path) -> None:
    """As a user starts it: a process of its own."""
    command = Path(sys.executable).with_name("hlx")
    arguments = ["convert", LC_R, "--from", "LC-R", "--to", "LC-B"]
    ran = subprocess.run([command, *arguments], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, f"{LC_B}\n", "")
    broken = subprocess.run([command, "convert", "🜊", *arguments[2:]], capture_output=True, text=True, check=False)
    assert broken.returncode == 1 and broken.stdout == ""
    assert broken.stderr.startswith("error: ") and broken.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ("convert",),
        ("convert", "5", "--from", "HLXL", "--to", "LC-X"),
        ("convert", "5", "--from", "HLXL", "--to", "LC-T", "--loud"),
        ("nothing",),
        ("corpus", "check"),
        ("corpus", "nothing"),
        ("validate",),
        ("train",),
        ("train", "--phase", "one"),
        ("train", "--phase", "1", "--optimizer"),
        ("train", "--phase", "1", "--epochs", "many"),
    ],
)
def test_an_invalid_command_line_is_one_line_and_ends_with_1(hlx: Hlx, arguments: tuple[str, ...]) -> None:
    """Exit code 2 would be a warning."""
    ran = hlx(*arguments)
    assert ran.code == 1 and ran.out == "" and ran.err == f"{ran.error}\n"
    assert re.search(r"see `.*hlx[ a-z]* -h`$", ran.error) or "Usage: " in ran.error


@pytest.mark.parametrize("arguments", [("--help",), ("train", "--help"), ("corpus", "check", "--help")])
def test_help_is_no_mistake(hlx: Hlx, arguments: tuple[str, ...]) -> None:
    ran = hlx(*arguments)
    assert ran.code == 0 and "Usage:" in ran.out


def test_a_corpus_all_of_which_can_be_trained_on_is_checked_with_0(hlx: Hlx, small_document: Path) -> None:
    ran = hlx("corpus", "check", small_document, "--json")
    assert ran.code == 0
    assert json.loads(ran.out) == {
        "entries": 48,
        "rows": {"english": 48, "hlx": 48 * 4, "paired": 48 * 9},
        "quarantined": [],
        "problems": [],
        "warnings": [],
        "readings": [],
    }
    shown = hlx("corpus", "check", small_document)
    assert shown.code == 0 and shown.out == "48 entries read, 0 quarantined; rows: english 48, hlx 192, paired 432\n"


def test_a_corpus_with_entries_in_quarantine_is_checked_with_2(hlx: Hlx, tmp_path: Path) -> None:
    path = tmp_path / "corpus.md"
    path.write_text(f"{small_text()}\nEnglish: Two\nHLXL: 2\nLC-T: 3\n")
    ran = hlx("corpus", "check", path, "--json")
    assert ran.code == 2
    found = json.loads(ran.out)
    assert found["entries"] == 49 and found["problems"] == []
    assert found["rows"] == {"english": 48, "hlx": 48 * 4, "paired": 48 * 9}
    line = path.read_text().split("\n").index("English: Two") + 1
    reason, rule = "LC-T `3` reads as 3 where HLXL says 2", "four_formats_have_the_same_value"
    row = {"document": str(path), "line": line, "english": "Two", "reason": reason, "rule": rule}
    assert found["quarantined"] == [row]
    shown = hlx("corpus", "check", path)
    assert shown.code == 2 and "49 entries read, 1 quarantined" in shown.out


def test_a_corpus_with_too_much_in_quarantine_is_unusable(hlx: Hlx, tmp_path: Path) -> None:
    path = tmp_path / "corpus.md"
    path.write_text(f"{entry('One', 1)}\nEnglish: Two\nHLXL: {{\n\n{entry('Three', 3)}")
    ran = hlx("corpus", "check", path, "--json")
    assert ran.code == 1
    assert json.loads(ran.out)["problems"] == ["1 of 3 entries are in quarantine (33.3%; required ≤ 5%, good ≤ 0%)"]
    assert hlx("corpus", "check", path, "--most-quarantined", "0.34").code == 2
    refused = hlx("corpus", "check", path, "--most-quarantined", "34")
    assert refused.code == 1 and "most-quarantined is 34.0: it must be a share from 0 to 1" in refused.error


def test_several_documents_are_one_corpus_whose_readings_are_listed(hlx: Hlx, tmp_path: Path) -> None:
    one, two = tmp_path / "one.md", tmp_path / "two.md"
    one.write_text("English: One\nHLXL: 1\n")
    two.write_text("LC-T: 2\n")
    ran = hlx("corpus", "check", one, two, "--json")
    found = json.loads(ran.out)
    assert ran.code == 0
    assert found["entries"] == 2 and found["rows"] == {"english": 1, "hlx": 8, "paired": 9}
    assert [(reading["document"], reading["reading"]) for reading in found["readings"]] == [
        (str(one), "LC-R, LC-T and LC-B rendered from HLXL"),
        (str(two), "HLXL, LC-R and LC-B rendered from LC-T"),
        (str(two), "HLX without a sentence serves phase 2 alone"),
    ]
    assert found["warnings"][0].startswith("no rows in validation")


def test_the_statistics_of_a_corpus_are_a_page_or_json(hlx: Hlx, tmp_path: Path, small_document: Path) -> None:
    page = hlx("corpus", "statistics", small_document)
    assert page.code == 0 and page.out.startswith("48 entries: 48 sentences, 48 values.")
    for heading in ("Held out", "Sections", "Operations", "Depth", "Length"):
        assert f"## {heading}" in page.out
    assert json.loads(hlx("corpus", "statistics", small_document, "--json").out)["entries"] == 48
    hlx("corpus", "statistics", small_document, "--output", tmp_path / "page.md")
    assert (tmp_path / "page.md").read_text() == page.out


def test_entries_are_composed_beside_a_document_without_its_sentences(hlx: Hlx, tmp_path: Path) -> None:
    hlx("corpus", "compose", tmp_path / "first.md", "--entries", 40)
    ran = hlx("corpus", "compose", tmp_path / "more.md", "--entries", 40, "--beside", tmp_path / "first.md")
    assert ran.code == 0
    both = hlx("corpus", "check", tmp_path / "first.md", tmp_path / "more.md", "--json")
    assert both.code == 0 and json.loads(both.out)["rows"]["english"] == 80


def test_examples_that_are_too_long_are_listed_and_the_rest_is_used(hlx: Hlx, small_document: Path) -> None:
    ran = hlx("corpus", "check", small_document, "--seq-length", 70, "--json")
    found = json.loads(ran.out)
    listed = [row for row in found["readings"] if "examples left out, over 70 tokens: " in row["reading"]]
    left_out = sum(int(row["reading"].split()[0]) * row["places"] for row in listed)
    assert ran.code == 0 and found["quarantined"] == []
    assert left_out and found["rows"] == {"english": 48, "hlx": 48 * 4, "paired": 48 * 9 - left_out}


def test_entries_of_which_nothing_fits_go_to_quarantine(hlx: Hlx, small_document: Path) -> None:
    ran = hlx("corpus", "check", small_document, "--seq-length", 12, "--json")
    found = json.loads(ran.out)
    assert ran.code == 1
    assert {row["rule"] for row in found["quarantined"]} <= {"fits_the_sequence_length"}


def test_an_unusable_document_among_others_is_checked_with_1(hlx: Hlx, tmp_path: Path, small_document: Path) -> None:
    ran = hlx("corpus", "check", small_document, tmp_path / "missing.md", "--json")
    found = json.loads(ran.out)
    assert ran.code == 1
    assert found["entries"] == 48
    assert found["problems"] == [f"{tmp_path / 'missing.md'}: no such file; give the path of a corpus document"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "no such file"),
        (b"", "is empty"),
        (b"# Notes\n", "no entry found"),
        (b"English: One\nHLXL: {{\n", "none of its 1 entries is usable"),
        ("English: Müller\n".encode("latin-1"), "not UTF-8 at byte offset 10"),
    ],
)
def test_a_corpus_that_cannot_be_used_is_checked_with_1_and_one_line(
    hlx: Hlx, tmp_path: Path, content: bytes | None, said: str
) -> None:
    path = tmp_path / "corpus.md"
    if content is not None:
        path.write_bytes(content)
    ran = hlx("corpus", "check", path)
    assert ran.code == 1
    assert ran.err == f"{ran.error}\n" and said in ran.error and str(path) in ran.error
    assert json.loads(hlx("corpus", "check", path, "--json").out)["rows"] == {"english": 0, "hlx": 0, "paired": 0}


def test_composing_is_deterministic_and_replaces_a_file_only_with_force(hlx: Hlx, tmp_path: Path) -> None:
    first, again, other = tmp_path / "first.md", tmp_path / "again.md", tmp_path / "new" / "other.md"
    for path, seed in ((first, 3), (again, 3), (other, 4)):
        ran = hlx("corpus", "compose", path, "--entries", 40, "--seed", seed)
        assert ran.code == 0 and ran.out == f"{path}: 40 entries, seed {seed}\n"
    assert first.read_bytes() == again.read_bytes() != other.read_bytes()
    assert len(parse_document(first.read_text(), "first.md").entries) == 40
    refused = hlx("corpus", "compose", first, "--entries", 10)
    assert refused.code == 1 and refused.error == f"error: {first} exists already: name another file, or pass --force"
    assert first.read_bytes() == again.read_bytes()
    assert hlx("corpus", "compose", first, "--entries", 10, "--force").code == 0
    assert len(parse_document(first.read_text(), "first.md").entries) == 10


@pytest.mark.parametrize("entries", [0, -1, 10**12])
def test_more_entries_than_the_grammar_gives_are_refused(hlx: Hlx, tmp_path: Path, entries: int) -> None:
    ran = hlx("corpus", "compose", tmp_path / "new.md", "--entries", entries)
    assert ran.code == 1 and f"entries is {entries:,}" in ran.error
    assert not (tmp_path / "new.md").exists()


@pytest.fixture
def checkpoints_dir(curriculum: Curriculum, tmp_path: Path) -> Path:
    """The folder of phase 1's checkpoints under a root of its own."""
    return copied(curriculum, tmp_path / "artifacts", 1).parent


@pytest.fixture
def by_outcome(checkpoints_dir: Path) -> dict[str, Path]:
    """A checkpoint for each outcome: of the whole training, of its middle, and of a model that learned nothing."""
    final = checkpoints_dir / "phase1_FINAL_epoch30"
    manifest, state = verify_checkpoint(final).manifest, read_state(final)
    untrained = Transformer(SIZES["tiny"]).initialize(seed=1)
    return {
        "pass": final,
        "warn": checkpoints_dir / "phase1_epoch20",
        "fail": checkpoints.write_checkpoint(
            checkpoints_dir, manifest.replace(epoch=29, files={}), untrained, state, None
        ),
    }


@pytest.mark.parametrize(("outcome", "code"), [("pass", 0), ("fail", 1), ("warn", 2)])
def test_validating_ends_with_the_code_of_its_outcome_and_writes_the_report(
    hlx: Hlx, by_outcome: dict[str, Path], tmp_path: Path, outcome: str, code: int
) -> None:
    checkpoint = by_outcome[outcome]
    ran = hlx("validate", "--checkpoint", checkpoint, "--device", "cpu", "--output", tmp_path / "out.json", "--json")
    assert ran.code == code
    report = json.loads(ran.out)
    assert report == json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    directory = Artifacts.of_checkpoint(checkpoint).report(checkpoint)
    assert report == json.loads((directory / "report.json").read_text(encoding="utf-8"))
    assert report["outcome"] == outcome == json.loads((directory / "verdict.json").read_text())["outcome"]
    shown = hlx("validate", "--checkpoint", checkpoint, "--device", "cpu")
    assert shown.code == code and f"report: {directory / 'report.html'}" in shown.out
    assert all(gate["name"] in shown.out for gate in report["gates"])


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda path: shutil.rmtree(path), "no such checkpoint"),
        (lambda path: (path / "manifest.json").unlink(), "not a complete checkpoint (manifest.json is missing)"),
        (lambda path: os.truncate(path / "model.safetensors", 1000), "model.safetensors: 1000 bytes, "),
        (lambda path: (path / "state.json").unlink(), "state.json: the file is missing"),
        (lambda path: shutil.rmtree(path.parents[3] / "corpora"), "no corpus is kept here"),
    ],
)
def test_what_cannot_be_validated_is_one_line_and_writes_no_report(
    hlx: Hlx, checkpoints_dir: Path, tmp_path: Path, spoil: Callable[[Path], object], said: str
) -> None:
    spoil(checkpoints_dir / "phase1_epoch20")
    ran = hlx("validate", "--checkpoint", checkpoints_dir / "phase1_epoch20", "--output", tmp_path / "out.json")
    assert ran.code == 1 and ran.err == f"{ran.error}\n" and said in ran.error
    assert not (tmp_path / "out.json").exists()


def status(hlx: Hlx, training: Path) -> list[dict[str, Any]]:
    ran = hlx("status", "--checkpoint-dir", training, "--json")
    assert ran.code == 0

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    content = json.loads(ran.out, parse_constant=refuse)
    assert content["watchdog"] == {"last_tick": None, "awake": False}
    found: list[dict[str, Any]] = content["trainings"]
    return found


def test_the_status_lists_every_training_the_newest_first(
    hlx: Hlx, curriculum: Curriculum, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = status(hlx, curriculum.training)
    assert [training["phase"] for training in found] == [3, 2, 1]
    for training in found:
        assert (training["status"], training["trouble"]) == ("completed", None)
        assert training["training_id"] == curriculum.phases[training["phase"]].plan.id
    monkeypatch.setenv("COLUMNS", "160")
    shown = hlx("status", "--checkpoint-dir", curriculum.training)
    assert shown.code == 0 and shown.out.count("completed") == 3
    assert all(training["training_id"] in shown.out for training in found)


def test_the_status_says_what_is_wrong_with_a_training(hlx: Hlx, tmp_path: Path) -> None:
    assert hlx("status", "--checkpoint-dir", tmp_path).out == f"{tmp_path} contains no training\n"
    (tmp_path / "0123").mkdir()
    gone = ended_process().pid
    beat = Heartbeat("0123", 1, "tiny", 10, status="training", train_loss=float("nan"), pid=gone)
    beat.write(tmp_path / "0123")
    (found,) = status(hlx, tmp_path)
    assert found["trouble"].startswith(f"process {gone} is gone")
    assert found["train_loss"] == "nan"
    assert hlx("status", "--checkpoint-dir", tmp_path).code == 0


def test_the_version_and_h_are_as_other_tools_have_them(hlx: Hlx, curriculum: Curriculum) -> None:
    assert hlx("--version") == Ran(0, f"hlx {__version__}\n", "")
    for command in ((), ("convert",), ("lineage", "verify")):
        assert hlx(*command, "-h").out == hlx(*command, "--help").out != ""
    ran = subprocess.run([sys.executable, "-m", "hlx_model", "--version"], capture_output=True, text=True, check=True)
    assert ran.stdout == f"hlx {__version__}\n"


def test_a_pipe_gets_whole_ids_and_lines(
    hlx: Hlx, curriculum: Curriculum, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    training = shutil.copytree(curriculum.training, tmp_path / "training")
    monkeypatch.delenv("COLUMNS", raising=False)
    for command in ("status", "history"):
        lines = hlx(command, "--checkpoint-dir", training).out.splitlines()
        for trained in curriculum.phases.values():
            assert sum(trained.plan.id in line for line in lines) == 1, command
