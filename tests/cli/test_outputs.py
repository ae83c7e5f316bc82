"""No output of `hlx` destroys an input or changes what hlx keeps; any other file is replaced."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import torch

from hlx_model.checkpoints import weights as checkpoints
from hlx_model.checkpoints.seal import verify_checkpoint
from hlx_model.cli import validate
from hlx_model.corpus.documents import keep_documents
from hlx_model.files import write_json
from hlx_model.history import write_history
from hlx_model.layout import EVENTS, EXAMPLES, HISTORY, TICK, VERDICT, Artifacts
from hlx_model.phases import CORPUS_OF_PHASE
from hlx_model.provenance.events import Event, record_event
from hlx_model.release.card import write_card
from hlx_model.release.export import export
from hlx_model.runs.liveness import leave_tick
from tests.support.command import Hlx, Ran
from tests.support.curriculum import Curriculum


@pytest.fixture(scope="module")
def original(curriculum: Curriculum, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a folder with one of each kind of folder that hlx keeps."""
    root = Path(shutil.copytree(curriculum.root, tmp_path_factory.mktemp("kept") / "artifacts"))
    artifacts, checkpoint = Artifacts.at(root), curriculum.phases[1].checkpoint.relative_to(curriculum.root)
    keep_documents(artifacts, [curriculum.document], composed=0, seed=0)
    write_json(artifacts.corpus_report(EXAMPLES, "0" * 64) / VERDICT, {})
    write_card(root / checkpoint)
    write_history(artifacts)
    leave_tick(artifacts.training)
    record_event(root, Event("phase1_checkpoint", str(checkpoint), "the run", "2024-01-01"))
    export(root / checkpoint, root.parent / "exported")
    export(root / checkpoint, root.parent / "exported-pt", "pt")
    return root.parent


@pytest.fixture
def here(original: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Copy that folder and make it the current one."""
    here = Path(shutil.copytree(original, tmp_path / "here"))
    monkeypatch.chdir(here)
    return here


@pytest.fixture
def kept(here: Path, curriculum: Curriculum, document: Path) -> Mapping[str, Path]:
    """Return by name every folder that hlx keeps, and copies of them in other places."""
    root, one = here / "artifacts", curriculum.phases[1]
    checkpoint = root / one.checkpoint.relative_to(curriculum.root)
    english = root / one.outcome.manifest.corpora[CORPUS_OF_PHASE[1]].path
    (documents,) = (root / "corpora" / "corpus_document").iterdir()
    found = {
        "checkpoint": checkpoint,
        "report": Artifacts.of_checkpoint(checkpoint).report(checkpoint),
        "corpus-report": Artifacts.at(root).corpus_report(EXAMPLES, "0" * 64),
        "card": Artifacts.of_checkpoint(checkpoint).card(checkpoint).parent,
        "corpus": english,
        "examples": next((root / "corpora" / EXAMPLES).iterdir()),
        "documents": documents,
        "training": checkpoint.parents[1],
        "checkpoints": checkpoint.parent,
        "exported": here / "exported",
        "exported-pt": here / "exported-pt",
    }
    for name in ("checkpoint", "report", "corpus", "examples", "documents", "training"):
        found[f"copy-of-{name}"] = Path(shutil.copytree(found[name], here / f"copy-of-{name}"))
    return found


@pytest.fixture
def document(here: Path, small_document: Path) -> Path:
    return Path(shutil.copyfile(small_document, here / "c.md"))


@pytest.fixture
def users_file(here: Path, curriculum: Curriculum) -> Path:
    model = checkpoints.load_model(verify_checkpoint(curriculum.phases[1].checkpoint))
    torch.save(model.state_dict(), here / "m.pt")
    return here / "m.pt"


def files(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def refuse(hlx: Hlx, output: object, *arguments: object) -> Ran:
    """Run a command and require one line of error: the output, why it is refused, and what to do."""
    ran = hlx(*arguments)
    assert ran.code == 1 and ran.out == "" and ran.err == f"{ran.error}\n"
    assert ran.error.startswith(f"error: {output}") and ran.error.count(": ") >= 3
    return ran


def refused(hlx: Hlx, here: Path, output: object, *arguments: object) -> Ran:
    """Run a command and require one line of error, and that nothing under the current folder was written."""
    before = files(here)
    ran = refuse(hlx, output, *arguments)
    assert files(here) == before
    return ran


def test_statistics_do_not_replace_their_document(hlx: Hlx, here: Path, document: Path) -> None:
    ran = refused(hlx, here, "c.md", "corpus", "statistics", "c.md", "--output", "c.md")
    assert ran.error == "error: c.md: the input c.md would be lost: name another path"


def test_composing_does_not_replace_the_document_beside_it(hlx: Hlx, here: Path, document: Path) -> None:
    for force in ((), ("--force",)):
        ran = refused(hlx, here, "c.md", "corpus", "compose", "c.md", "--beside", "c.md", "--entries", 10, *force)
        assert "--force" not in ran.error


def test_a_report_does_not_replace_the_model_that_is_evaluated(
    hlx: Hlx, here: Path, document: Path, users_file: Path
) -> None:
    command = ("validate", "--checkpoint", "m.pt", "--corpus", "c.md", "--phase", 1, "--output")
    for output in ("m.pt", "c.md", "m.report/verdict.json", "m.report", "m.report/new/er.json"):
        refused(hlx, here, output, *command, output)


def test_a_report_does_not_replace_a_file_of_the_checkpoint(
    hlx: Hlx, here: Path, kept: Mapping[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(validate, "evaluate", None)  # a call would raise another error
    folder = kept["checkpoint"]
    for output in (folder / "state.json", folder / "new.json", folder / "a" / "b.json", folder):
        refused(hlx, here, output, "validate", "--checkpoint", folder, "--output", output)


def test_a_report_is_not_written_into_the_checkpoints_own_report(
    hlx: Hlx, here: Path, kept: Mapping[str, Path]
) -> None:
    shutil.rmtree(kept["report"])
    for name in ("verdict.json", "new.json"):
        output = kept["report"] / name
        refused(hlx, here, output, "validate", "--checkpoint", kept["checkpoint"], "--output", output)


OTHER_NAMES: dict[str, Callable[[Path], object]] = {
    "hard.md": lambda path: os.link("c.md", path),
    "link.md": lambda path: None,
    "link-of-link.md": lambda path: path.symlink_to("link.md"),
    "folder/c.md": lambda path: path.parent.symlink_to("."),
    "artifacts/../c.md": lambda path: None,
    "./c.md": lambda path: None,
    "exported/../new/../c.md": lambda path: None,
}


@pytest.mark.parametrize("name", OTHER_NAMES)
def test_an_input_is_known_by_each_of_its_names(hlx: Hlx, here: Path, document: Path, name: str) -> None:
    (here / "link.md").symlink_to("c.md")
    OTHER_NAMES[name](here / name)
    (here / "other.md").write_text("English: One\nHLXL: 1\n")
    refused(hlx, here, Path(name), "corpus", "statistics", "other.md", "c.md", "--output", name)
    refused(hlx, here, here / name, "corpus", "statistics", "c.md", "--output", here / name)
    refused(hlx, here, "c.md", "corpus", "statistics", "other.md", name, "--output", "c.md")
    beside = ("--beside", "other.md", "--beside", "c.md", "--entries", 10, "--force")
    refused(hlx, here, Path(name), "corpus", "compose", name, *beside)


def test_an_output_is_refused_before_a_document_is_read(hlx: Hlx, here: Path, document: Path) -> None:
    refused(hlx, here, "c.md", "corpus", "statistics", "missing.md", "c.md", "--output", "c.md")
    refused(hlx, here, "c.md", "corpus", "compose", "c.md", "--beside", "missing.md", "--beside", "c.md")
    (here / "m.pt").write_bytes(b"not a model")
    refused(hlx, here, "m.pt", "validate", "--checkpoint", "m.pt", "--corpus", "c.md", "--phase", 1, "--output", "m.pt")


def test_no_command_writes_into_a_kept_folder(
    hlx: Hlx, here: Path, kept: Mapping[str, Path], document: Path, users_file: Path, curriculum: Curriculum
) -> None:
    trained = [curriculum.phases[phase].checkpoint for phase in (1, 2)]
    for name, folder in kept.items():
        (here / f"to-{name}").symlink_to(folder)
    before = files(here)
    for name, folder in kept.items():
        for place in (folder, folder / "new" / "er", here / f"to-{name}", folder / ".." / folder.name):
            page, figure, report = place / "new.md", place / "new.svg", place / "new.json"
            refuse(hlx, page, "corpus", "statistics", "c.md", "--output", page)
            refuse(hlx, page, "corpus", "compose", page, "--entries", 10, "--force")
            refuse(hlx, figure, "history", "compare", *trained, "--output", figure)
            refuse(hlx, report, "validate", "--checkpoint", kept["checkpoint"], "--output", report)
            user = ("validate", "--checkpoint", "m.pt", "--corpus", "c.md", "--phase", 1)
            refuse(hlx, report, *user, "--output", report)
            refuse(hlx, place / "new", "export", trained[0], place / "new")
            train = ("train", "--phase", 1, "--corpus", "c.md")
            refuse(hlx, place, *train, "--checkpoint-dir", place)
            refuse(hlx, place, *train, "--checkpoint-dir", "new", "--tensorboard", place)
    assert files(here) == before


def test_no_kept_file_is_replaced(hlx: Hlx, here: Path, kept: Mapping[str, Path], document: Path) -> None:
    before = files(here)
    for folder in kept.values():
        for path in folder.iterdir():
            refuse(hlx, path, "corpus", "statistics", "c.md", "--output", path)
            refuse(hlx, path, "corpus", "compose", path, "--force")
    assert files(here) == before


def test_a_kept_file_is_known_behind_a_link(hlx: Hlx, here: Path, kept: Mapping[str, Path], document: Path) -> None:
    (here / "out.json").symlink_to(kept["checkpoint"] / "state.json")
    refused(hlx, here, "out.json", "corpus", "statistics", "c.md", "--output", "out.json")
    (kept["checkpoint"] / "out.json").symlink_to(here / "elsewhere.json")
    output = kept["checkpoint"] / "out.json"
    refused(hlx, here, output, "corpus", "statistics", "c.md", "--output", output)


@pytest.mark.parametrize("name", [EVENTS, HISTORY, f"training/{TICK}"])
def test_the_records_beside_the_trainings_are_not_replaced(hlx: Hlx, here: Path, document: Path, name: str) -> None:
    output = Path("artifacts", name)
    refused(hlx, here, output, "corpus", "statistics", "c.md", "--output", output)
    refused(hlx, here, output, "corpus", "compose", output, "--force")


def test_a_corpus_that_lacks_one_of_its_files_is_kept_too(
    hlx: Hlx, here: Path, kept: Mapping[str, Path], document: Path
) -> None:
    (kept["corpus"] / "derived.json").unlink()
    output = kept["corpus"] / "rows.parquet"
    refused(hlx, here, output, "corpus", "statistics", "c.md", "--output", output)


def test_the_current_folder_may_be_a_kept_one(
    hlx: Hlx, here: Path, kept: Mapping[str, Path], curriculum: Curriculum, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained = [curriculum.phases[phase].checkpoint for phase in (1, 2)]
    for name in ("checkpoint", "report", "exported"):
        monkeypatch.chdir(kept[name])
        refused(hlx, here, "compare-", "history", "compare", *trained)
        refused(hlx, here, "new.svg", "history", "compare", *trained, "--output", "new.svg")
        refused(hlx, here, "out", "export", trained[0], "out")
        refused(hlx, here, "new.md", "corpus", "compose", "new.md")


def test_tensorboard_does_not_write_into_a_training(hlx: Hlx, here: Path, document: Path) -> None:
    train = ("train", "--phase", 1, "--corpus", "c.md", "--checkpoint-dir")
    for viewer in ("new", "exported/../new", here / "new"):
        refused(hlx, here, f"{viewer}/<training id>", *train, "new", "--tensorboard", viewer)


def test_any_other_file_is_replaced(hlx: Hlx, here: Path, kept: Mapping[str, Path], document: Path) -> None:
    """Also if it has the name of a file of hlx: in another folder, and beside the kept ones."""
    page = hlx("corpus", "statistics", "c.md").out
    names = ("page.md", "README.md", "manifest.json", "heartbeat.json", "rows.parquet", "source.json", "verdict.json")
    for folder in (Path(), Path("artifacts"), Path("artifacts", "training"), Path("artifacts", "reports"), Path("new")):
        for name in names:
            for _ in range(2):
                ran = hlx("corpus", "statistics", "c.md", "--output", folder / name)
                assert ran.code == 0 and (folder / name).read_text() == page
            # One at a time: two of them identify a folder of hlx.
            (folder / name).unlink()
    for _ in range(2):
        assert hlx("corpus", "statistics", "c.md", "--output", f"new/{TICK}").code == 0


def test_a_report_is_written_twice_into_the_current_folder(
    hlx: Hlx, here: Path, kept: Mapping[str, Path], document: Path, users_file: Path
) -> None:
    ours = ("validate", "--checkpoint", kept["checkpoint"])
    theirs = ("validate", "--checkpoint", "m.pt", "--corpus", "c.md", "--phase", 1)
    for command in (ours, theirs):
        for _ in range(2):
            ran = hlx(*command, "--device", "cpu", "--output", "report.json", "--json")
            assert ran.err == "" and json.loads(ran.out) == json.loads(Path("report.json").read_text())


def test_a_figure_is_written_twice_into_the_current_folder(hlx: Hlx, here: Path, curriculum: Curriculum) -> None:
    trained = [curriculum.phases[phase].checkpoint for phase in (1, 2)]
    for _ in range(2):
        assert hlx("history", "compare", *trained).code == 0
        assert hlx("history", "compare", *trained, "--output", "loss.svg").code == 0


def test_a_path_through_a_missing_folder_is_resolved_before_the_check(
    hlx: Hlx, here: Path, kept: Mapping[str, Path], document: Path
) -> None:
    (here / "own").mkdir()
    (here / "own" / "k.md").write_text("a document of a user")
    training, before = kept["training"].relative_to(here), files(here)
    for target in (
        "missing/../c.md",
        "missing/../own",
        "a/b/../../own",
        f"missing/../{training}",
        "missing/../artifacts",
    ):
        ran = hlx("export", kept["checkpoint"], f"missing/../{target}")
        assert ran.code == 1 and ran.error.startswith(f"error: missing/../{target}: ")
    assert "pass --force" in hlx("corpus", "compose", "missing/../own/k.md", "--entries", 5).error
    assert files(here) == before
    refused(hlx, here, "missing/../c.md", "corpus", "statistics", "c.md", "--output", "missing/../c.md")
    assert hlx("export", kept["checkpoint"], "missing/../new").code == 0 and (here / "new" / "config.json").exists()


def test_a_link_is_followed_and_a_pipe_or_a_device_is_written_to(hlx: Hlx, here: Path, document: Path) -> None:
    (here / "target.md").write_text("old")
    (here / "link.md").symlink_to("target.md")
    assert hlx("corpus", "statistics", "c.md", "--output", "link.md").code == 0
    assert (here / "link.md").is_symlink() and (here / "target.md").read_text().startswith("48 entries")

    os.mkfifo(here / "pipe")
    with subprocess.Popen(["cat", here / "pipe"], stdout=subprocess.PIPE, text=True) as reader:
        assert hlx("corpus", "statistics", "c.md", "--output", "pipe").code == 0
        assert reader.communicate(timeout=20)[0] == (here / "target.md").read_text()
    assert (here / "pipe").is_fifo()

    null = Path("/dev/null")
    assert hlx("corpus", "statistics", "c.md", "--output", null).code == 0
    assert null.is_char_device()


def test_a_folder_is_no_file_and_a_dash_is_no_folder(
    hlx: Hlx, here: Path, kept: Mapping[str, Path], document: Path, users_file: Path, curriculum: Curriculum
) -> None:
    trained = [curriculum.phases[phase].checkpoint for phase in (1, 2)]
    (here / "pages.svg").mkdir()
    validate = ("validate", "--checkpoint", "m.pt", "--corpus", "c.md", "--phase", 1)
    for output in (".", "..", "pages.svg", here, "artifacts/.."):
        for command in (
            ("corpus", "statistics", "c.md", "--output", output), ("corpus", "compose", output, "--force"),
            (*validate, "--output", output),
        ):  # fmt: skip
            assert refused(hlx, here, output, *command).error == f"error: {output}: a folder: name a file"
    refused(hlx, here, "pages.svg", "history", "compare", *trained, "--output", "pages.svg")
    for writes in (
        ("export", kept["checkpoint"], "-"),
        ("train", "--phase", 1, "--corpus", "c.md", "--checkpoint-dir", "-"),
        ("train", "--phase", 1, "--corpus", "c.md", "--checkpoint-dir", "new", "--tensorboard", "-"),
    ):  # fmt: skip
        assert refused(hlx, here, "-", *writes).error.endswith(": standard output is no folder: name a folder")
    assert not (here / "-").exists()


def test_a_dash_is_standard_output(
    hlx: Hlx, here: Path, document: Path, curriculum: Curriculum, users_file: Path
) -> None:
    before = files(here)
    page = hlx("corpus", "statistics", "c.md").out
    ran = hlx("corpus", "statistics", "c.md", "--output", "-")
    assert (ran.code, ran.out, ran.err) == (0, page, "-: 48 entries\n")
    ran = hlx("corpus", "compose", "-", "--entries", 5)
    assert ran.out.count("English: ") == 5 and ran.err == "-: 5 entries, seed 0\n"
    trained = [curriculum.phases[phase].checkpoint for phase in (1, 2)]
    ran = hlx("history", "compare", *trained, "--output", "-")
    assert ran.out.lstrip().startswith(("<?xml", "<svg")) and ran.out.rstrip().endswith("</svg>")
    validate = ("validate", "--checkpoint", "m.pt", "--corpus", "c.md", "--phase", 1, "--device", "cpu")
    assert json.loads(hlx(*validate, "--output", "-").out)["phase"] == 1
    assert {path for path in files(here) if "m.report" not in path.parts} == set(before)


def test_the_report_on_a_pt_file_destroys_nothing(
    hlx: Hlx, here: Path, kept: Mapping[str, Path], document: Path, users_file: Path
) -> None:
    def command(name: str, corpus: str = "c.md") -> tuple[object, ...]:
        shutil.copyfile(users_file, here / f"{name}.pt")
        return ("validate", "--checkpoint", f"{name}.pt", "--corpus", corpus, "--phase", 1, "--device", "cpu")

    (here / "within.report").mkdir()
    shutil.copyfile(document, here / "within.report" / "report.md")
    (here / "link.report").symlink_to(kept["checkpoint"])
    (here / "file.report").write_text("of a user")
    for name, corpus in (("within", "within.report/report.md"), ("link", "c.md"), ("file", "c.md")):
        arguments = command(name, corpus)
        refused(hlx, here, f"{name}.report", *arguments)
    exported = kept["exported-pt"].relative_to(here) / "model.report"
    refused(hlx, here, exported, "validate", "--checkpoint", "exported-pt/model.pt", "--corpus", "c.md", "--phase", 1)
    for _ in range(2):
        assert hlx(*command("again")).code in (0, 1, 2) and (here / "again.report" / "report.json").exists()
