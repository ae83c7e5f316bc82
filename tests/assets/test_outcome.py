"""How a run came out is one outcome with one line, and a session trains only if the one before it passed."""

import time
from collections.abc import Callable
from pathlib import Path

import dagster as dg
import pytest

from hlx_assets.curriculum.outcome import RunVerdict, latest_resumption, verdict_of_run, withdrawal
from hlx_assets.curriculum.session import AFTER, PARENT, RESUMES, SESSION, WITHDRAWN
from hlx_assets.watchdog.incidents import incidents
from hlx_assets.watchdog.runs import GONE, STOPPED_TAG, close
from hlx_model.checkpoints.manifest import read_manifest
from tests.support.dagster_home import Home, Run, executed

REPORTS = ("phase2_checkpoint", "phase2_validation_report")


def record(home: Home, run_id: str) -> dg.DagsterRun:
    with home.instance() as instance:
        found = instance.get_run_by_id(run_id)
    assert found is not None
    return found


def verdict(home: Home, run: Run) -> RunVerdict:
    with home.instance() as instance:
        return verdict_of_run(instance, record(home, run.id))


def checks(home: Home) -> dict[str, bool | None]:
    """Whether each check of phase 2 passed, by its last record; None if it was planned and not evaluated."""
    from hlx_assets.definitions import defs

    assets = {dg.AssetKey(name) for name in REPORTS}
    keys = [key for key in defs.resolve_asset_graph().asset_check_keys if key.asset_key in assets]
    with home.instance() as instance:
        found = instance.event_log_storage.get_latest_asset_check_execution_by_key(keys)
    last = {key.to_user_string(): one.evaluation for key, one in found.items()}
    return {name: one.passed if isinstance(one, dg.AssetCheckEvaluation) else None for name, one in last.items()}


def test_a_chain_ends_with_the_session_that_an_abort_rule_stopped(home: Home) -> None:
    # In a session `tiny` is given, although it is what the launchpad shows.
    exact = {"profile": "production", "size": "tiny", "lr": 10.0, "epochs": 3, "batch_size": 1}
    lost = executed(home, "phase1_checkpoint", tags={SESSION: "English"}, phase1_checkpoint=exact)
    assert read_manifest(home.latest("phase1_checkpoint")).size == "tiny"
    outcome, reason = verdict(home, lost)
    assert outcome == "aborted"
    assert reason is not None and reason.startswith(
        "phase1_checkpoint: its training was stopped: training loss diverged: "
    )
    before, began = checks(home), time.time()
    line = f"withdrawn: English (run {lost.id[:8]}) did not pass: {reason}"
    after = lost
    for corpus in ("HLX", "Translation"):  # the second one names the first cause too
        after = executed(home, *REPORTS, tags={SESSION: corpus, AFTER: after.id})
        assert not after.success and after.materialized == [] and after.failures == {}
        assert verdict(home, after) == ("withdrawn", line) and record(home, after.id).tags[WITHDRAWN] == line
    with home.instance() as instance:
        assert line in [entry.user_message for entry in instance.all_logs(after.id)]
        assert {alert.problem for _, alert in incidents(instance, began)} == {line}
    assert checks(home) == before and None not in before.values()


@pytest.mark.parametrize(
    ("assets", "settings", "said"),
    [
        (
            ("phase1_checkpoint",), {"lr": 1e-9, "epochs": 20, "batch_size": 1},
            "phase1_checkpoint: its training was stopped: gate next_token_loss failed at epoch 20: validation loss 5.",
        ),
        (
            ("phase1_checkpoint", "phase1_validation_report"), {"lr": 1e-4, "epochs": 1},
            "phase1_validation_report: gate perplexity: loss on training text ",
        ),
    ],
    ids=["in training", "of a report"],
)  # fmt: skip
def test_a_gate_that_failed_is_named_with_its_figure(
    home: Home, assets: tuple[str, ...], settings: dict[str, object], said: str
) -> None:
    outcome, reason = verdict(home, executed(home, *assets, phase1_checkpoint=settings))
    assert outcome == "quality_failed" and reason is not None and reason.startswith(said)


def test_a_step_that_failed_is_named_with_its_reason(empty_home: Home) -> None:
    missing = str(empty_home.path / "missing.md")
    failed = executed(empty_home, "corpus_document", corpus_document={"corpus": missing})
    outcome, reason = verdict(empty_home, failed)
    assert outcome == "failed" and reason is not None
    assert reason.startswith("corpus_document: ") and missing in reason


def killed(instance: dg.DagsterInstance, run: dg.DagsterRun) -> None:
    """As Dagster's own monitoring ends a run whose worker died."""
    instance.report_run_failed(run, "Run worker process was ended by signal 9.")


def closed(instance: dg.DagsterInstance, run: dg.DagsterRun) -> None:
    close(instance, run, GONE)


@pytest.mark.parametrize(
    ("end", "expected"),
    [
        (dg.DagsterInstance.report_run_canceled, ("canceled", "somebody cancelled the run")),
        (closed, ("failed", GONE)),
        (killed, ("failed", "the run ended: Run worker process was ended by signal 9")),
    ],
)
def test_a_run_that_something_else_ended_says_what(
    empty_home: Home, end: Callable[[dg.DagsterInstance, dg.DagsterRun], object], expected: tuple[str, str]
) -> None:
    with empty_home.instance() as instance:
        run = instance.add_run(dg.DagsterRun(job_name="curriculum", status=dg.DagsterRunStatus.STARTED))
        follower = dg.DagsterRun(job_name="curriculum", tags={AFTER: run.run_id})
        name = f"withdrawn: curriculum (run {run.run_id[:8]}) did not pass: "
        assert withdrawal(instance, follower) == f"{name}it has not ended"
        end(instance, run)
        assert verdict_of_run(instance, record(empty_home, run.run_id)) == expected
        assert withdrawal(instance, follower) == f"{name}{expected[1]}"


def test_a_curriculum_that_passed_lets_the_next_one_train(curriculum: tuple[Path, Run], home: Home) -> None:
    assert verdict(home, curriculum[1]) == ("passed", None)
    # A re-execution in the UI inherits the tags of the earlier run.
    inherited = {WITHDRAWN: "withdrawn: long ago", STOPPED_TAG: "stopped", PARENT: "a/b"}
    run = executed(home, "training_history", tags={**inherited, AFTER: curriculum[1].id})
    assert run.success and verdict(home, run).outcome == "passed"
    assert {record(home, run.id).tags[tag] for tag in inherited} == {""}


def test_a_session_that_was_resumed_is_judged_by_what_it_became(home: Home) -> None:
    with home.instance() as instance:
        first = instance.add_run(dg.DagsterRun(job_name="curriculum", status=dg.DagsterRunStatus.STARTED))
        killed(instance, first)
        follower = dg.DagsterRun(job_name="curriculum", tags={AFTER: first.run_id})
        second = instance.add_run(dg.DagsterRun(job_name="curriculum", tags={RESUMES: first.run_id}))
        assert "it has not ended" in (withdrawal(instance, follower) or "")
        killed(instance, second)
    third = executed(home, "training_history", tags={RESUMES: second.run_id})
    with home.instance() as instance:
        found = latest_resumption(instance, first.run_id)
        assert found is not None and found.run_id == third.id and withdrawal(instance, follower) is None
        gone = dg.DagsterRun(job_name="curriculum", tags={AFTER: "0" * 36})
        assert withdrawal(instance, gone) == "withdrawn: run 00000000 did not pass: it is not on record"


def test_an_evaluation_document_that_is_broken_fails_no_session(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    (home.path / "exam.md").write_text("English: Search for the kites\nHLXL: {1000: {@0\n", encoding="utf-8")
    monkeypatch.setenv("HLX_EVAL", str(home.path / "exam.md"))
    run = executed(home, "evaluation_document", "evaluation_examples")
    failed = [check for check in run.checks if not check.passed and check.severity == dg.AssetCheckSeverity.ERROR]
    assert failed and verdict(home, run) == ("passed", None)
