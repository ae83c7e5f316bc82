"""A checkpoint is kept for itself or for what was made from it; its report, card and baselines are kept with it."""

import random
import shutil
from pathlib import Path

import pytest

from hlx_model.checkpoints.manifest import read_manifest
from hlx_model.checkpoints.seal import verify_checkpoint
from hlx_model.cleanup import carry_out, disk, plan_cleanup
from hlx_model.evaluation.evaluate import evaluate
from hlx_model.layout import Artifacts
from hlx_model.release.card import write_card
from hlx_model.runs.directory import TrainingResult
from hlx_model.runs.passing import choose, passed_on
from hlx_model.training.loop import train
from hlx_model.training.plan import Overrides, plan_training
from tests.support.copies import ArtifactsCopy, as_parent, copy_as, forge, intact, materialize
from tests.support.curriculum import CPU, QUICK, Curriculum


def test_ended_trainings_keep_final_and_best_and_lose_their_epochs(home: ArtifactsCopy) -> None:
    before = home.files()
    found = plan_cleanup(home.training)
    assert home.files() == before, "a plan writes nothing"
    kinds = {read_manifest(item.path).kind for item in found.goes if item.group == "checkpoint"}
    assert kinds == {"EPOCH"}
    assert all(item.bytes > 0 and item.reason for item in found.goes)
    assert found.bytes == sum(disk.size_of(item.path) for item in found.goes)
    done = carry_out(found)
    assert set(done.removed) == set(found.goes) and not done.spared and not done.failed
    left = {read_manifest(path).kind for path in home.training.glob("*/checkpoints/phase*")}
    assert left == {"FINAL", "BEST"}
    intact(home)
    assert plan_cleanup(home.training).goes == () and carry_out(found).removed == (), (
        "a second time there is nothing to remove"
    )


def test_an_epoch_that_a_later_phase_was_trained_from_stays(home: ArtifactsCopy) -> None:
    epoch, other = home.of(1) / "checkpoints" / "phase1_epoch10", home.of(1) / "checkpoints" / "phase1_epoch20"
    plan = plan_training(
        2, QUICK, Overrides(epochs=1, batch_size=4, learning_rate=1e-3),
        corpus=[home.curriculum.document], training=home.training, parent=verify_checkpoint(epoch), ungated=True,
    )  # fmt: skip
    ended = train(plan, execution=CPU).checkpoint
    evaluate(ended)
    found = plan_cleanup(home.training)
    reason = {stays.path: stays.reason for stays in found.stays}[epoch]
    assert reason.startswith(f"{plan.id}/phase2_") and reason.endswith("_epoch1 was made from it")
    carry_out(found)
    assert epoch.is_dir() and not other.exists()
    assert read_manifest(ended).ungated == (f"{home.of(1).name}/{epoch.name}",)
    intact(home)


def test_a_best_one_that_is_passed_on_stays_with_report_and_card(home: ArtifactsCopy) -> None:
    best = choose(TrainingResult.of(home.final(1), found=True), "best").checkpoint
    verdict, card = evaluate(best).directory, write_card(best)
    materialize(home, "phase1_checkpoint", best)
    copy_as(best, "BEST", 3)  # left by a training that was repeated
    carry_out(plan_cleanup(home.training))
    assert verify_checkpoint(best) and passed_on(home.of(1)) == best
    assert (verdict / "verdict.json").is_file() and card.is_file() and home.final(1).is_dir()


def test_a_training_that_can_be_resumed_keeps_its_checkpoints(home: ArtifactsCopy) -> None:
    final = home.final(1)
    last = copy_as(final, "LAST", 7)
    assert str(last.relative_to(home.root)) in home.going("checkpoint")
    interrupted = home.training / "fedcba9876543210"
    shutil.copytree(home.of(1), interrupted)
    shutil.rmtree(interrupted / "checkpoints" / final.name)
    assert not [path for path in home.going() if interrupted.name in path]


def test_a_damaged_final_checkpoint_does_not_end_its_training(home: ArtifactsCopy) -> None:
    """The trainer would resume from the LAST checkpoint, and its epochs are all that is left of the model."""
    final = home.final(3)
    copy_as(final, "LAST", 7)
    weights = final / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    found = plan_cleanup(home.training)
    assert not [item for item in found.goes if item.training == home.of(3)]
    assert any("does not count as ended" in note for note in found.notes)


def stopped(home: ArtifactsCopy) -> Path:
    """Add a training that version 0.1.0 stopped, retried twice in the same directory, and stopped again."""
    like = read_manifest(home.final(1))
    ended = like.replace(kind="STOPPED", epoch=1, epochs=30, training_id="0" * 16, stopped="loss is nan")
    forge(home.training, ended, folder="stopped-1")
    forge(home.training, ended.replace(kind="EPOCH", weights_sha256="1" * 64), folder="stopped-1")
    forge(home.training, ended.replace(epoch=2), folder="stopped-2")
    final = forge(home.training, ended.replace(epoch=3))
    for checkpoint in (final, final.with_name("phase1_STOPPED_epoch1"), final.with_name("phase1_STOPPED_epoch2")):
        (report := Artifacts.of_checkpoint(checkpoint).report(checkpoint)).mkdir(parents=True)
        (report / "report.json").write_text("{}")
    return final


def test_a_stopped_end_stays_with_its_report_and_older_attempts_go(home: ArtifactsCopy) -> None:
    final = stopped(home)
    older = {
        f"training/{'0' * 16}/stopped-1/phase1_epoch1",
        f"training/{'0' * 16}/stopped-1/phase1_STOPPED_epoch1",
        f"training/{'0' * 16}/stopped-2/phase1_STOPPED_epoch2",
    }
    assert home.going("set aside") == older
    assert {f"reports/{'0' * 16}/phase1_STOPPED_epoch{n}" for n in (1, 2)} <= home.going("report")
    carry_out(plan_cleanup(home.training))
    assert final.is_dir() and Artifacts.of_checkpoint(final).report(final).is_dir()
    assert not (final.parents[1] / "stopped-1").exists() and not (final.parents[1] / "stopped-2").exists()


@pytest.mark.parametrize("number", [1, 2])
def test_an_older_attempt_stays_while_a_kept_checkpoint_descends_from_it(home: ArtifactsCopy, number: int) -> None:
    final = stopped(home)
    (parent,) = (final.parents[1] / f"stopped-{number}").glob("phase1_STOPPED_*")
    before = home.going("set aside")
    child = read_manifest(final).replace(kind="FINAL", training_id="1" * 16, parent=as_parent(parent))
    forge(home.training, child)
    assert before - home.going("set aside") == {str(parent.relative_to(home.root))}


def test_an_older_attempt_that_an_asset_was_last_materialized_to_stays(home: ArtifactsCopy) -> None:
    final = stopped(home)
    before = home.going("set aside")
    materialize(home, "phase1_checkpoint", final.with_name("phase1_STOPPED_epoch1"))
    assert before - home.going("set aside") == {f"training/{'0' * 16}/stopped-1/phase1_STOPPED_epoch1"}
    materialize(home, "phase1_checkpoint", final)
    assert home.going("set aside") == before


def test_reports_and_cards_go_with_their_checkpoints(home: ArtifactsCopy) -> None:
    epoch = home.of(1) / "checkpoints" / "phase1_epoch10"
    evaluate(epoch)
    artifacts = Artifacts(home.training)
    cards = [artifacts.card(path) for path in (epoch, epoch.with_name("phase1_epoch999"), home.final(1))]
    for card in (*cards, own := cards[0].parents[1] / "own" / "README.md"):
        card.parent.mkdir(parents=True)
        card.write_text("…")
    baselines = [artifacts.baselines(path) for path in (epoch, home.final(1))]
    for folder in baselines:
        folder.mkdir(parents=True)
        (folder / "baselines.json").write_text("{}")
    gone = home.root / "reports" / "feedfeedfeedfeed" / "phase2_FINAL_epoch3"
    gone.mkdir(parents=True)
    (gone / "verdict.json").write_text("{}")
    assert home.going("report") == {
        str(Artifacts.of_checkpoint(epoch).report(epoch).relative_to(home.root)),
        str(gone.relative_to(home.root)),
        str(baselines[0].relative_to(home.root)),
        *(str(card.parent.relative_to(home.root)) for card in cards[:2]),
    }
    carry_out(plan_cleanup(home.training))
    assert not gone.parent.exists() and cards[2].is_file() and own.is_file() and baselines[1].is_dir()
    intact(home)


@pytest.mark.parametrize("seed", range(40))
def test_all_ancestors_of_a_kept_checkpoint_stay(curriculum: Curriculum, tmp_path: Path, seed: int) -> None:
    """Compared with a plain walk up from each FINAL, STOPPED and BEST checkpoint of a random graph."""
    chance, training = random.Random(seed), tmp_path / "training"
    like = read_manifest(curriculum.phases[1].checkpoint)
    made: dict[Path, Path | None] = {}
    for number in range(chance.randint(1, 8)):
        kinds = ["EPOCH"] * chance.randint(0, 3) + ["LAST", "BEST"][: chance.randint(0, 2)]
        before = list(made)
        kinds += [chance.choice(["FINAL", "STOPPED"])] if chance.random() < 0.8 else []
        for step, kind in enumerate(kinds, 1):
            parent = chance.choice(before) if before and chance.random() < 0.8 else None
            manifest = like.replace(
                kind=kind, epoch=step, step=step, training_id=f"{number:016}", weights_sha256=f"{number}-{step}",
                parent=as_parent(parent) if parent else None, corpora={},
            )  # fmt: skip
            made[forge(training, manifest)] = parent
    if not made:
        return
    has_ended = {path.parents[1] for path in made if "_FINAL_" in path.name or "_STOPPED_" in path.name}
    expected: set[Path] = set()
    for path in made:
        on_the_way = "_LAST_" in path.name or path.name.startswith("phase1_epoch")
        walk = None if on_the_way and path.parents[1] in has_ended else path
        while walk is not None:
            expected.add(walk)
            walk = made[walk]
    found = plan_cleanup(training)
    assert {item.path for item in found.goes} == set(made) - expected
    carry_out(found)
    assert {path for path in made if path.exists()} == expected
