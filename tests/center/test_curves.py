"""The curves of a session's trainings have the gates on them; a thinned curve keeps every validation loss."""

import math
from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hlx_assets.center.context import Center
from hlx_assets.center.curves import MOST_POINTS, curves, gates, thinned
from hlx_model.evaluation.gates import GATES_OF_PHASE
from hlx_model.evaluation.milestones import due
from hlx_model.layout import REPORT
from hlx_model.runs.metrics import Metrics, MetricsRow
from tests.support.center import center_of
from tests.support.dagster_home import SETTINGS, Home
from tests.support.sessions import session_of


@pytest.fixture
def center(home: Home) -> Iterator[Center]:
    with center_of(home) as made:
        yield made


def trainings(home: Home) -> list[str]:
    return [home.latest(f"phase{phase}_checkpoint").parents[1].name for phase in (1, 2, 3)]


def test_each_training_of_a_session_has_its_curve_and_its_milestones(center: Center, home: Home) -> None:
    session = session_of(*trainings(home))
    found = curves(center, session)
    assert [(one.training_id, one.phase) for one in found] == list(zip(trainings(home), (1, 2, 3), strict=True))
    for one in found:
        epochs = SETTINGS[f"phase{one.phase}_checkpoint"]["epochs"]
        ends = {point.epoch: point.step for point in one.points if point.val_loss is not None}
        assert list(ends) == list(range(1, epochs + 1))
        assert [mark.epoch for mark in one.milestones] == [epoch for epoch in ends if due(epoch, epochs)]
        assert all(mark.step == ends[mark.epoch] and mark.gates for mark in one.milestones)


def test_the_gates_are_those_of_the_verdict_with_its_conclusion(center: Center, home: Home) -> None:
    found = gates(center, session_of(*trainings(home)))
    assert [{gate.name for gate in one.gates} == set(GATES_OF_PHASE[one.phase]) for one in found] == [True] * 3
    assert all(one.verdict in ("pass", "warn") and one.conclusion and one.milestones for one in found)


def test_without_a_report_there_is_no_verdict_and_no_conclusion(center: Center, home: Home) -> None:
    checkpoint = home.latest("phase2_checkpoint")
    center.artifacts.report(checkpoint).rename(home.path / "moved")
    (found,) = gates(center, session_of(checkpoint.parents[1].name))
    assert (found.verdict, found.conclusion, found.gates) == (None, None, []) and found.milestones


def test_a_report_on_other_weights_is_none_on_these(center: Center, home: Home) -> None:
    session = session_of(trainings(home)[0])
    report = center.artifacts.report(home.latest("phase1_checkpoint"))
    (before,) = gates(center, session)
    (report / REPORT).write_text((report / REPORT).read_text().replace('"weights_sha256": "', '"weights_sha256": "0'))
    (after,) = gates(center, session)
    assert before.conclusion and after.conclusion is None


def test_a_training_that_left_nothing_has_no_curve(center: Center) -> None:
    session = session_of("0" * 16)
    assert not curves(center, session) and not gates(center, session)


def test_what_is_not_finite_is_null(center: Center, home: Home) -> None:
    training = center.artifacts.training / trainings(home)[0]
    Metrics(training).append({**row(10**6, None), "train_loss": math.nan})
    assert curves(center, session_of(training.name))[0].points[-1].train_loss is None


def row(step: int, held_out: float | None) -> MetricsRow:
    return MetricsRow(
        step=step, epoch=1, train_loss=1.0, held_out_loss=held_out, learning_rate=0.1, tokens_per_second=None
    )


@given(st.lists(st.booleans(), max_size=300), st.integers(1, 60))
def test_a_thinned_curve_keeps_its_validation_losses_and_order(validated: list[bool], most: int) -> None:
    rows = [row(step, 2.0 if held_out else None) for step, held_out in enumerate(validated)]
    kept = thinned(rows, most)
    assert [one for one in kept if one["held_out_loss"]] == [one for one in rows if one["held_out_loss"]]
    assert [one["step"] for one in kept] == sorted({one["step"] for one in kept})
    assert len(kept) == len(rows) if len(rows) <= most else len(kept) == max(most, sum(validated))


def test_a_long_curve_is_thinned_evenly() -> None:
    kept = thinned([row(step, None) for step in range(50_000)])
    gaps = {after["step"] - before["step"] for before, after in pairwise(kept)}
    assert len(kept) == MOST_POINTS and gaps == {25}
