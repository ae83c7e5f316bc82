"""A training starts from the checkpoint that `parent` means, and only if the gates of that one allow it."""

from pathlib import Path

import dagster as dg
import pytest

from hlx_assets.curriculum.parent import start_of
from hlx_assets.curriculum.session import AFTER, PARENT, RESUMES, SESSION
from hlx_assets.io_manager import ARTIFACT
from hlx_model.checkpoints.manifest import read_manifest
from hlx_model.phases import PHASES
from tests.support.copies import copy_as, forge
from tests.support.dagster_home import Home, Run

PHASE_2 = "phase2_checkpoint"
SHORT = {"epochs": 1, "lr": 1e-4}
"""Too little for the gates of phase 1."""


def name_of(checkpoint: Path) -> str:
    return f"{checkpoint.parents[1].name}/{checkpoint.name}"


def tags(home: Home, run_id: str) -> dict[str, str]:
    with home.instance() as instance:
        found = instance.get_run_by_id(run_id)
    assert found is not None
    return dict(found.tags)


def refused(home: Home, run: Run) -> str:
    """The reason of a refusal, which is also on the page of the asset."""
    assert not run.success and PHASE_2 not in run.materialized
    why = run.failures[PHASE_2]
    with home.instance() as instance:
        (record,) = instance.fetch_observations(dg.AssetKey(PHASE_2), limit=1).records
    observation = record.asset_observation
    assert "\n" not in why and observation is not None and observation.metadata["refused"].value == why
    return why


def materialized(home: Home, *assets: dg.AssetsDefinition, tags: dict[str, str] | None = None) -> Run:
    """Run assets of the test's own, which have the names of the graph's."""
    with home.instance() as instance:
        result = dg.materialize(assets, instance=instance, tags=tags, raise_on_error=False)
        return Run(result.run_id, result.all_events)


def making(home: Home, checkpoint: Path) -> dg.AssetsDefinition:
    """The asset of phase 1, which makes a checkpoint that is there."""

    @dg.asset(name="phase1_checkpoint")
    def made() -> dg.MaterializeResult[None]:
        return dg.MaterializeResult(metadata={ARTIFACT: str(checkpoint.relative_to(home.path / "artifacts"))})

    return made


def starting(parent: str = "passed", continue_from: str | None = None) -> dg.AssetsDefinition:
    """The asset of phase 2, up to the moment at which its trainer would start."""

    @dg.asset(name=PHASE_2, deps=["phase1_checkpoint"])
    def started(context: dg.AssetExecutionContext) -> None:
        start_of(context, PHASES[2], "tiny", parent=parent, continue_from=continue_from)

    return started


def test_the_newest_that_passed_is_found_behind_a_failed_and_one_of_another_size(home: Home) -> None:
    tiny = home.latest("phase1_checkpoint")
    passed = {"parent": "passed", "epochs": 1}
    assets = ("phase1_checkpoint", "phase1_validation_report", PHASE_2)
    run = home.materialize(*assets, phase1_checkpoint=SHORT, phase2_checkpoint=passed)
    assert not run.success and run.materialized == [*assets[:2]], "a run does not start past its own closed gate"
    like = read_manifest(tiny).replace(size="10m", training_id="0123456789abcdef", created="2099-01-01T00:00:00+00:00")
    forge(home.path / "artifacts" / "training", like)

    why = refused(home, home.materialize(PHASE_2))
    closed = "the gate of phase1_FINAL_epoch1 is closed: "
    assert why.startswith(closed) and "press Materialize on phase1_validation_report" in why, "the latest by default"
    failed = name_of(home.latest("phase1_checkpoint"))
    why = refused(home, home.materialize(PHASE_2, phase2_checkpoint={"parent": failed}))
    assert why.startswith(closed) and why.endswith(": train phase 1 again, or name another `parent`")
    assert refused(home, home.materialize(PHASE_2, phase2_checkpoint={"parent": "passed", "size": "10m"})) == (
        "no checkpoint of phase 1 and size 10m has passed its gates: train phase 1 with `size: 10m`, or name one as "
        "`parent`"
    )

    run = home.materialize(PHASE_2, phase2_checkpoint=passed)
    assert run.success, run.failures
    parent = read_manifest(home.latest(PHASE_2)).parent
    assert parent is not None
    assert f"{parent.training_id}/{parent.name}" == tags(home, run.id)[PARENT] == name_of(tiny)


@pytest.mark.parametrize(
    ("parent", "said"),
    [
        ("phase3_checkpoint", "parent is phase3_checkpoint, of phase 3: name a checkpoint of phase 1"),
        ("fedcba98", "fedcba98: no such checkpoint, asset, or training in "),
    ],
)
def test_a_wrong_name_is_refused_in_one_line(home: Home, parent: str, said: str) -> None:
    assert refused(home, home.materialize(PHASE_2, phase2_checkpoint={"parent": parent})).startswith(said)


def test_a_checkpoint_that_is_continued_needs_no_parent(home: Home) -> None:
    name = name_of(home.latest(PHASE_2))
    run = materialized(home, starting(continue_from=name))
    assert run.failures[PHASE_2] == "parent and continue_from are both set: leave one of them out"
    run = materialized(home, starting("latest", continue_from=name))
    assert run.success and tags(home, run.id)[PARENT] == name


def test_a_chain_starts_from_what_its_sessions_made(home: Home) -> None:
    newest = home.latest("phase1_checkpoint")
    judged = copy_as(newest, "BEST", 20)  # without a verdict of its own
    hlx = {SESSION: "HLX"}
    earlier = materialized(home, starting("nothing"), tags={SESSION: "English"})
    resumed = materialized(home, making(home, newest), tags={SESSION: "English", RESUMES: earlier.id})
    assert not earlier.success and resumed.success
    later = materialized(home, making(home, judged), tags={SESSION: "English"})
    between = materialized(home, tags={SESSION: "Translation", AFTER: earlier.id})

    run = materialized(home, starting(), tags={**hlx, AFTER: between.id})
    assert run.success and tags(home, run.id)[PARENT] == name_of(newest), "not the latest"
    why = refused(home, materialized(home, starting(), tags={**hlx, AFTER: later.id}))
    assert why.startswith("the gate of phase1_BEST_epoch20 is closed: no verdict: "), "not another one that passed"
    run = materialized(home, starting(), tags=hlx)
    assert run.success and tags(home, run.id)[PARENT] == name_of(newest)
    own = materialized(home, making(home, judged), starting(), tags={SESSION: "Curriculum"})
    assert "phase1_BEST_epoch20 is closed" in refused(home, own)
