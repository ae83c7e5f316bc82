"""Nothing goes that a kept checkpoint needs; what goes, goes whole, and for a reason."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from hlx_model.checkpoints import manifest as manifests
from hlx_model.checkpoints.manifest import (
    Manifest,
    Parent,
    directory_name,
    read_manifest,
)
from hlx_model.checkpoints.seal import verify_checkpoint
from hlx_model.cleanup import inventory
from hlx_model.cleanup.sweep import CleanupPlan, carry_out, plan_cleanup
from hlx_model.corpus import store
from hlx_model.corpus.documents import keep_documents
from hlx_model.evaluation.evaluate import evaluate
from hlx_model.evaluation.verdict import require_passed
from hlx_model.files import write_json
from hlx_model.layout import Artifacts
from hlx_model.provenance.events import Event, record_event
from hlx_model.runs.directory import AlreadyRunning, training_lock
from hlx_model.runs.heartbeat import Heartbeat
from hlx_model.training.loop import train
from hlx_model.training.plan import Overrides, prepare
from tests.conftest import CPU, QUICK, Curriculum, small_text

LONG_AGO = time.time() - 3 * 24 * 3600


@dataclass(frozen=True)
class Home:
    """A copy of the curriculum's artifacts, to be changed."""

    root: Path
    curriculum: Curriculum

    @property
    def training(self) -> Path:
        return self.root / "training"

    def of(self, phase: int) -> Path:
        """The directory of a phase's training."""
        return self.training / self.curriculum.phases[phase].plan.id

    def final(self, phase: int) -> Path:
        """The checkpoint that a phase ended with."""
        return self.of(phase) / "checkpoints" / self.curriculum.phases[phase].checkpoint.name

    def going(self, group: str | None = None) -> set[str]:
        """What goes, relative to the root."""
        found = plan_cleanup(self.training).goes
        return {str(item.path.relative_to(self.root)) for item in found if group in (None, item.group)}

    def files(self) -> set[str]:
        return {str(path.relative_to(self.root)) for path in self.root.rglob("*")}


@pytest.fixture
def home(curriculum: Curriculum, tmp_path: Path) -> Home:
    return Home(shutil.copytree(curriculum.root, tmp_path / "artifacts", symlinks=True), curriculum)


@contextmanager
def locked(training: Path) -> Iterator[None]:
    """Another process holds the training's lock."""
    program = (
        "import fcntl, sys; f = open(sys.argv[1], 'a+'); fcntl.flock(f, fcntl.LOCK_EX); print(flush=True); input()"
    )
    command = [sys.executable, "-c", program, str(training / "lock")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdin is not None
        process.stdout.readline()
        try:
            yield
        finally:
            process.stdin.close()


def forge(training: Path, like: Manifest, folder: str = "checkpoints") -> Path:
    """A checkpoint of a given manifest, with no files of its own."""
    name = directory_name(like.kind, like.phase, like.epoch, like.step)
    path = training / like.training_id / folder / name
    path.mkdir(parents=True)
    write_json(path / "manifest.json", replace(like, files={}).to_json())
    return path


def copy_as(checkpoint: Path, kind: str, epoch: int) -> Path:
    """A checkpoint beside another, of another kind and epoch, with its files."""
    like = replace(read_manifest(checkpoint), kind=kind, epoch=epoch, step=epoch)
    target = checkpoint.parent / directory_name(kind, like.phase, epoch, epoch)
    shutil.copytree(checkpoint, target)
    write_json(target / "manifest.json", like.to_json())
    return target


def as_parent(checkpoint: Path) -> Parent:
    m = read_manifest(checkpoint)
    return Parent(m.training_id, checkpoint.name, m.phase, m.epoch, m.weights_sha256)


def new_corpus(home: Home, entries: int = 40) -> dict[str, Path]:
    """Another version of every corpus, made long ago from a document that is kept too."""
    document = home.root.parent / "other.md"
    document.write_text("\n\n".join(small_text().split("\n\n")[:entries]), encoding="utf-8")
    artifacts = Artifacts(home.training)
    kept, _ = store.build([document], artifacts, seq_length=256)
    kept["corpus_document"] = keep_documents(artifacts, [document], composed=0, seed=0)
    for directory in kept.values():
        age(directory)
    return kept


def age(path: Path) -> None:
    for inner in (*path.rglob("*"), path):
        os.utime(inner, (LONG_AGO, LONG_AGO), follow_symlinks=False)


def intact(home: Home) -> None:
    """Every checkpoint that is there verifies, and the three phases may still be built on."""
    for path in home.training.glob("*/*/phase*"):
        verify_checkpoint(path)
    for phase in (1, 2, 3):
        require_passed(home.final(phase))


def test_epochs_of_ended_trainings_go_and_their_ends_and_bests_stay(home: Home) -> None:
    before = home.files()
    found = plan_cleanup(home.training)
    assert home.files() == before, "a plan writes nothing"
    kinds = {read_manifest(item.path).kind for item in found.goes if item.group == "checkpoint"}
    assert kinds == {"EPOCH"}
    assert all(item.bytes > 0 and item.reason for item in found.goes)
    assert found.bytes == sum(inventory.size_of(item.path) for item in found.goes)
    done = carry_out(found)
    assert set(done.removed) == set(found.goes) and not done.spared and not done.failed
    left = {read_manifest(path).kind for path in home.training.glob("*/checkpoints/phase*")}
    assert left == {"FINAL", "BEST"}
    intact(home)
    assert plan_cleanup(home.training).goes == () and carry_out(found).removed == (), "done once is done"


def test_an_epoch_that_a_later_phase_was_trained_from_stays_with_all_it_needs(home: Home) -> None:
    epoch, other = home.of(1) / "checkpoints" / "phase1_epoch10", home.of(1) / "checkpoints" / "phase1_epoch20"
    plan = prepare(
        2, QUICK, Overrides(epochs=1, batch_size=4, learning_rate=1e-3),
        corpus=[home.curriculum.document], training=home.training, resume_from=epoch, ungated=True,
    )  # fmt: skip
    ended = train(plan, execution=CPU).checkpoint
    evaluate(ended)
    found = plan_cleanup(home.training)
    assert {stays.path: stays.reason for stays in found.stays}[epoch] == f"{plan.id}/{ended.name} was made from it"
    carry_out(found)
    assert epoch.is_dir() and not other.exists()
    assert read_manifest(ended).ungated == (f"{home.of(1).name}/{epoch.name}",)
    intact(home)


def test_a_corpus_that_was_trained_on_stays_and_one_that_was_not_goes(home: Home) -> None:
    used, unused = new_corpus(home, 40), new_corpus(home, 36)
    plan = prepare(
        1, QUICK, Overrides(epochs=1, batch_size=4),
        corpus=[used["english_corpus"]], training=home.training,
    )  # fmt: skip
    train(plan, execution=CPU)
    for directory in (*used.values(), *unused.values()):
        age(directory)
    going = {home.root / path for path in home.going("corpus")}
    assert going == {*unused.values(), used["hlx_corpus"], used["paired_corpus"]} - {newest_document(home)}
    carry_out(plan_cleanup(home.training))
    assert used["english_corpus"].is_dir() and used["corpus_examples"].is_dir() and used["corpus_document"].is_dir()
    store.load(used["english_corpus"])
    intact(home)


def newest_document(home: Home) -> Path:
    return max((home.root / "corpora" / "corpus_document").iterdir(), key=inventory.last_written)


def test_what_an_asset_was_last_materialized_to_stays(home: Home) -> None:
    older, later = new_corpus(home, 40), new_corpus(home, 36)
    epoch = home.of(1) / "checkpoints" / "phase1_epoch10"
    for made in (older, later):
        for asset, directory in made.items():
            record_event(
                home.root, Event(asset, str(directory.relative_to(home.root)), "run", "2026-01-01T00:00:00+00:00")
            )
    record_event(home.root, Event("phase1_checkpoint", str(epoch.relative_to(home.root)), "run", "2026-01-01"))
    going = {home.root / path for path in home.going()}
    assert not going & {*later.values(), epoch}
    assert {older[asset] for asset in ("english_corpus", "hlx_corpus", "paired_corpus", "corpus_examples")} <= going


def test_who_made_a_corpus_and_never_trained_keeps_the_newest(tmp_path: Path, small_document: Path) -> None:
    home = Home(tmp_path / "artifacts", None)  # type: ignore[arg-type]
    older = new_corpus(home, 40)
    artifacts = Artifacts(home.training)
    newest, _ = store.build([small_document], artifacts, seq_length=256)
    document = keep_documents(artifacts, [small_document], composed=0, seed=0)
    assert {home.root / path for path in home.going()} == set(older.values())
    carry_out(plan_cleanup(home.training))
    for directory in newest.values():
        store.load(directory)
    assert (document / "document.md").is_file()


@pytest.mark.parametrize("how", ["lock", "heartbeat"])
def test_all_of_a_training_at_work_stays(home: Home, how: str) -> None:
    directory = home.of(1)
    (directory / "checkpoints" / "phase1_epoch29").mkdir()
    shutil.copytree(directory / "checkpoints", directory / "stopped-1")
    before = {path for path in home.files() if directory.name in path}
    found = plan_cleanup(home.training)
    assert any(item.training == directory for item in found.goes)
    if how == "lock":
        with locked(directory):
            assert not any(item.training == directory for item in plan_cleanup(home.training).goes)
            done = carry_out(found)  # it began to work after the plan was made
    else:
        Heartbeat(directory.name, 1, "tiny", 30, status="training").write(directory)
        assert not any(item.training == directory for item in plan_cleanup(home.training).goes)
        done = carry_out(found)
    assert {path for path in home.files() if directory.name in path} == before
    assert {item.path for item in done.spared} >= {item.path for item in found.goes if item.training == directory}


def test_while_checkpoints_are_removed_no_trainer_can_begin(home: Home) -> None:
    with inventory.hold_lock(home.of(1)) as free:
        assert free and inventory.is_active(home.of(1))
        with inventory.hold_lock(home.of(1)) as twice:
            assert not twice
        with pytest.raises(AlreadyRunning), training_lock(home.of(1)):
            pass
    assert not inventory.is_active(home.of(1))


def test_what_cannot_be_removed_is_told(home: Home) -> None:
    found = plan_cleanup(home.training)
    (home.of(1) / "lock").unlink()
    (home.of(1) / "lock").mkdir()
    done = carry_out(found)
    assert [item.path for item in done.failed] == [home.of(1)]
    assert all(item.path.exists() for item in found.goes if item.training == home.of(1))


def test_a_training_at_work_that_has_written_nothing_may_need_anything(home: Home) -> None:
    new_corpus(home)
    begun = home.training / "0123456789abcdef"
    begun.mkdir()
    with locked(begun):
        found = plan_cleanup(home.training)
        assert found.goes == () and any("at work" in note for note in found.notes)
    assert plan_cleanup(home.training).goes


def test_a_training_that_can_be_resumed_keeps_its_checkpoints(home: Home) -> None:
    final = home.final(1)
    last = copy_as(final, "LAST", 7)
    assert str(last.relative_to(home.root)) in home.going("checkpoint")
    interrupted = home.training / "fedcba9876543210"
    shutil.copytree(home.of(1), interrupted)
    shutil.rmtree(interrupted / "checkpoints" / final.name)
    assert not [path for path in home.going() if interrupted.name in path]


def test_what_ended_but_does_not_verify_has_not_ended(home: Home) -> None:
    """The trainer would go on from the LAST checkpoint; and an epoch is all that is left of the model."""
    final = home.final(3)
    copy_as(final, "LAST", 7)
    weights = final / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    found = plan_cleanup(home.training)
    assert not [item for item in found.goes if item.training == home.of(3)]
    assert any("does not count as ended" in note for note in found.notes)


def stopped(home: Home) -> Path:
    """A training that was stopped, tried again, and stopped again later."""
    like = read_manifest(home.final(1))
    ended = replace(like, kind="STOPPED", epoch=1, epochs=30, training_id="0" * 16, stopped="loss is nan")
    forge(home.training, ended, folder="stopped-1")
    forge(home.training, replace(ended, kind="EPOCH", weights_sha256="1" * 64), folder="stopped-1")
    forge(home.training, replace(ended, epoch=2), folder="stopped-2")
    final = forge(home.training, replace(ended, epoch=3))
    for checkpoint in (final, final.with_name("phase1_STOPPED_epoch1"), final.with_name("phase1_STOPPED_epoch2")):
        (report := Artifacts.of_checkpoint(checkpoint).report(checkpoint)).mkdir(parents=True)
        (report / "report.json").write_text("{}")
    return final


def test_what_was_stopped_stays_with_its_report_and_what_was_set_aside_goes(home: Home) -> None:
    final = stopped(home)
    going = home.going()
    assert {f"training/{'0' * 16}/stopped-1", f"training/{'0' * 16}/stopped-2"} <= going
    assert {f"reports/{'0' * 16}/phase1_STOPPED_epoch{n}" for n in (1, 2)} <= going
    carry_out(plan_cleanup(home.training))
    assert final.is_dir() and Artifacts.of_checkpoint(final).report(final).is_dir()
    assert not (final.parents[1] / "stopped-1").exists() and not (final.parents[1] / "stopped-2").exists()


@pytest.mark.parametrize("number", [1, 2])
def test_what_was_set_aside_stays_while_one_descends_from_it(home: Home, number: int) -> None:
    """And no gap comes about below it: by how many there are, the next one is numbered."""
    final = stopped(home)
    (parent,) = (final.parents[1] / f"stopped-{number}").glob("phase1_STOPPED_*")
    child = replace(read_manifest(final), kind="FINAL", training_id="1" * 16, parent=as_parent(parent))
    forge(home.training, child)
    going = home.going("set aside")
    assert going == ({f"training/{'0' * 16}/stopped-2"} if number == 1 else set())


def test_what_an_asset_was_last_materialized_to_stays_when_it_is_set_aside(home: Home) -> None:
    final = stopped(home)
    record_event(
        home.root, Event("phase1_checkpoint", f"training/{'0' * 16}/checkpoints/phase1_STOPPED_epoch1", "r", "t")
    )
    assert home.going("set aside") == {f"training/{'0' * 16}/stopped-2"}
    record_event(home.root, Event("phase1_checkpoint", str(final.relative_to(home.root)), "r", "t"))
    assert len(home.going("set aside")) == 2


def test_reports_and_cards_go_with_their_checkpoints(home: Home) -> None:
    epoch = home.of(1) / "checkpoints" / "phase1_epoch10"
    evaluate(epoch)
    artifacts = Artifacts(home.training)
    cards = [artifacts.card(path) for path in (epoch, epoch.with_name("phase1_epoch999"), home.final(1))]
    for card in (*cards, own := cards[0].parents[1] / "own" / "README.md"):
        card.parent.mkdir(parents=True)
        card.write_text("…")
    gone = home.root / "reports" / "feedfeedfeedfeed" / "phase2_FINAL_epoch3"
    gone.mkdir(parents=True)
    (gone / "verdict.json").write_text("{}")
    assert home.going("report") == {
        str(Artifacts.of_checkpoint(epoch).report(epoch).relative_to(home.root)),
        str(gone.relative_to(home.root)),
        *(str(card.parent.relative_to(home.root)) for card in cards[:2]),
    }
    carry_out(plan_cleanup(home.training))
    assert not gone.parent.exists() and cards[2].is_file() and own.is_file()
    intact(home)


def test_a_manifest_that_cannot_be_read_keeps_whatever_it_might_name(home: Home) -> None:
    new_corpus(home)
    epoch = home.of(1) / "checkpoints" / "phase1_epoch10"
    manifest = epoch / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"size": "tiny"', '"size": "vast"'))
    found = plan_cleanup(home.training)
    assert found.goes == ()
    assert f"{epoch} is kept: its manifest cannot be read" in found.notes
    assert {item.path: item.reason for item in found.stays}[epoch] == "its manifest cannot be read"


def test_what_nobody_can_explain_stays(home: Home) -> None:
    checkpoints = home.of(1) / "checkpoints"
    notes = checkpoints / "phase1_epoch10" / "notes.md"
    notes.write_text("the best for songs")
    best = checkpoints / "for-songs"
    shutil.copytree(checkpoints / "phase1_epoch20", best)
    old = new_corpus(home)["english_corpus"]
    (old / "notes.md").write_text("…")
    others = [home.root / "corpora" / "notes.md", home.root / "corpora" / "mine" / ("0" * 64), home.training / "a"]
    others += [home.root / "reports" / "mine" / "phase1_FINAL_epoch3" / "mine.txt", home.root / "training.bak"]
    others += [home.of(2) / "stopped-1" / "mine.txt", home.of(1) / ".notes.md.original", checkpoints / "phase1_mine"]
    for path in others:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("…")
        age(path)
    carry_out(plan_cleanup(home.training))
    assert all(path.exists() for path in (notes, best, old / "notes.md", *others))
    assert not (checkpoints / "phase1_epoch20").exists()


def test_no_link_is_followed_and_what_lies_behind_one_is_heeded(home: Home, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    shutil.copytree(home.of(1), outside / "training")
    (home.training / "aaaaaaaaaaaaaaaa").symlink_to(outside / "training")
    checkpoints = home.of(1) / "checkpoints"
    shutil.move(checkpoints / "phase1_epoch10", outside / "phase1_epoch10")
    (checkpoints / "phase1_epoch10").symlink_to(outside / "phase1_epoch10")
    old = new_corpus(home)
    used = replace(
        read_manifest(outside / "phase1_epoch10"),
        corpora={"english_corpus": manifests.CorpusVersion(old["english_corpus"].name, "elsewhere")},
    )
    write_json(outside / "phase1_epoch10" / "manifest.json", used.to_json())
    shutil.move(home.root / "corpora" / "hlx_corpus", outside / "hlx_corpus")
    (home.root / "corpora" / "hlx_corpus").symlink_to(outside / "hlx_corpus")
    before = {path: path.lstat().st_mtime_ns for path in outside.rglob("*") if path.is_file()}
    done = carry_out(plan_cleanup(home.training))
    assert done.removed and {path: path.lstat().st_mtime_ns for path in outside.rglob("*") if path.is_file()} == before
    assert old["english_corpus"].is_dir() and old["corpus_examples"].is_dir() and not old["paired_corpus"].exists()


def test_trainings_in_a_folder_beside_it_need_the_same_corpora(home: Home) -> None:
    old = new_corpus(home)
    beside = home.root / "experiments"
    plan = prepare(1, QUICK, Overrides(epochs=1), corpus=[old["english_corpus"]], training=beside)
    ended = train(plan, execution=CPU).checkpoint
    epoch = home.of(1) / "checkpoints" / "phase1_epoch10"
    forge(beside, replace(read_manifest(ended), training_id="2" * 16, parent=as_parent(epoch)))
    age(old["english_corpus"])
    carry_out(plan_cleanup(home.training))
    assert epoch.is_dir() and old["english_corpus"].is_dir() and old["corpus_examples"].is_dir()
    assert not old["hlx_corpus"].exists()
    assert not [path for path in plan_cleanup(beside).goes if path.path.is_relative_to(home.training)]


def test_leftovers_of_kills_go_when_they_are_a_day_old(home: Home) -> None:
    version = next((home.root / "corpora" / "english_corpus").iterdir())
    checkpoints = home.of(1) / "checkpoints"
    places = [
        checkpoints / ".phase1_epoch30.ab12_xyz" / "model.safetensors",
        version.parent / ".new-ab12_xyz" / "rows.parquet",
        version.parent / f".{version.name}.ab12_xyz" / "rows.parquet",
        version.parent / f".{version.name}.old.ab12_xyz" / version.name / "rows.parquet",
        version / ".derived.json.ab12_xyz",
        home.of(1) / ".heartbeat.json.ab12_xyz",
        home.training / ".watchdog.json.ab12_xyz",
        home.root / "reports" / home.of(1).name / home.curriculum.phases[1].checkpoint.name / ".loss.svg.ab12_xyz",
    ]
    for path in places:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("…")
    assert home.going("leftover") == set(), "they may be being written"
    for path in places:
        age(path)
        if path.parent.name.startswith("."):
            age(path.parent)
        if path.parents[1].name.startswith("."):
            age(path.parents[1])
    assert len(home.going("leftover")) == len(places)
    half = checkpoints / "phase1_epoch27"
    shutil.copytree(checkpoints / "phase1_epoch10", half)
    (half / "manifest.json").unlink()
    assert str(half.relative_to(home.root)) in home.going("leftover")
    carry_out(plan_cleanup(home.training))
    assert not half.exists() and not any(path.exists() for path in places)
    intact(home)


KILLED = """
import os, shutil, signal, sys
from pathlib import Path
from hlx_model.cleanup.sweep import carry_out, plan_cleanup
left = int(sys.argv[2])
def audit(event, arguments):
    global left
    if event in ("os.remove", "os.rename", "os.rmdir"):
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
found = plan_cleanup(Path(sys.argv[1]))
sys.addaudithook(audit)
carry_out(found)
"""


@pytest.mark.parametrize("after", [0, 1, 2, 5, 9, 20, 26, 30])
def test_a_removal_that_is_killed_leaves_all_that_is_kept_and_is_gone_on_with(home: Home, after: int) -> None:
    old = new_corpus(home)
    evaluate(home.of(1) / "checkpoints" / "phase1_epoch10")
    kept = {stays.path for stays in plan_cleanup(home.training).stays}
    ran = subprocess.run([sys.executable, "-c", KILLED, str(home.training), str(after)], check=False)
    assert ran.returncode == -signal.SIGKILL
    assert all(path.exists() for path in kept)
    for phase in (1, 2, 3):
        require_passed(home.final(phase))
    for asset, directory in old.items():
        if asset != "corpus_document" and directory.exists():
            store.verify(directory)
    for hidden in home.root.rglob(".*"):
        age(hidden)
    carry_out(plan_cleanup(home.training))
    intact(home)
    assert plan_cleanup(home.training).goes == () and not list(home.root.rglob(".*"))


def test_a_folder_that_holds_no_training_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="holds no training"):
        plan_cleanup(tmp_path / "nowhere")
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="is a file"):
        plan_cleanup(tmp_path / "file")
    with pytest.raises(ValueError, match="name the folder"):
        plan_cleanup(tmp_path / "..")


@pytest.mark.parametrize("seed", range(40))
def test_of_any_graph_all_ancestors_of_what_is_kept_stay(curriculum: Curriculum, tmp_path: Path, seed: int) -> None:
    """Against an oracle that walks up from every checkpoint that ends or was best."""
    chance, training = random.Random(seed), tmp_path / "training"
    like = read_manifest(curriculum.phases[1].checkpoint)
    made: dict[Path, Path | None] = {}
    for number in range(chance.randint(1, 8)):
        kinds = ["EPOCH"] * chance.randint(0, 3) + ["LAST", "BEST"][: chance.randint(0, 2)]
        before = list(made)
        kinds += [chance.choice(["FINAL", "STOPPED"])] if chance.random() < 0.8 else []
        for step, kind in enumerate(kinds, 1):
            parent = chance.choice(before) if before and chance.random() < 0.8 else None
            manifest = replace(
                like, kind=kind, epoch=step, step=step, training_id=f"{number:016}", weights_sha256=f"{number}-{step}",
                parent=as_parent(parent) if parent else None, corpora={},
            )  # fmt: skip
            made[forge(training, manifest)] = parent
    if not made:
        return
    has_ended = {path.parents[1] for path in made if "_FINAL_" in path.name or "_STOPPED_" in path.name}
    expected: set[Path] = set()
    for path in made:
        passing = "_LAST_" in path.name or path.name.startswith("phase1_epoch")
        walk = None if passing and path.parents[1] in has_ended else path
        while walk is not None:
            expected.add(walk)
            walk = made[walk]
    found: CleanupPlan = plan_cleanup(training)
    assert {item.path for item in found.goes} == set(made) - expected
    carry_out(found)
    assert {path for path in made if path.exists()} == expected
