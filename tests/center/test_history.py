"""A session's row has the figures of its last training; beside others, what differs is shown."""

import shutil
from collections.abc import Iterator

import pytest

from hlx_assets.center.context import Center
from hlx_assets.center.history import compare, row
from hlx_model.history import row_of
from tests.support.center import center_of
from tests.support.dagster_home import Home
from tests.support.sessions import session_of


@pytest.fixture
def center(home: Home) -> Iterator[Center]:
    with center_of(home) as made:
        yield made


def training(home: Home, phase: int) -> str:
    return home.latest(f"phase{phase}_checkpoint").parents[1].name


def test_a_row_has_the_figures_of_the_last_training(center: Center, home: Home) -> None:
    found = row(center, session_of(training(home, 1), training(home, 3)))
    known = row_of(center.artifacts.training / training(home, 3))
    assert known is not None
    assert (found.train_loss, found.best_val_loss) == (known.train_loss, known.best_held_out_loss)
    assert found.exact_match_to_hlx == known.exact_match_to_hlx is not None
    assert found.test_loss is not None and found.seconds == 90 * 60


def test_a_session_that_trained_nothing_has_no_figures(center: Center) -> None:
    found = row(center, session_of(start_time=None))
    assert {value for name, value in found if name not in ("session", "cost_usd")} == {None}


def test_only_settings_that_differ_are_shown_beside_each_other(center: Center, home: Home) -> None:
    rows = [row(center, session_of(training(home, phase))) for phase in (1, 2)]
    found = compare(center, rows)
    assert found.settings["phase"] == [1, 2] and found.settings["epochs"] == [40, 20]
    assert found.settings["parent"][0] is None and found.settings["parent"][1].startswith(training(home, 1))
    assert len(found.settings["corpus_version"][0]) == 12
    assert not {"size", "seed", "batch_size", "profile"} & found.settings.keys()
    assert found.figures["test_loss"] == [one.test_loss for one in rows]
    assert [one and one.training_id for one in found.curves] == [training(home, 1), training(home, 2)]
    assert compare(center, [rows[0], rows[0]]).settings == {}


def test_a_session_without_a_checkpoint_is_compared_by_what_was_asked(center: Center, home: Home) -> None:
    kept, lost = training(home, 1), training(home, 2)
    shutil.rmtree(center.artifacts.training / lost / "checkpoints")
    asked = session_of(lost, settings={"lr": 0.5}, epochs=9)
    found = compare(center, [row(center, session_of(kept)), row(center, asked)])
    assert found.settings["epochs"] == [40, 9] and found.settings["lr"] == [None, 0.5]
