"""`hlx baselines` shows what was measured, and asks nobody."""

import json
from pathlib import Path

import pytest

from hlx_model.baselines.ask import Replies
from hlx_model.baselines.own import OwnReplies, own_cost
from hlx_model.baselines.table import model_of, own_model
from hlx_model.files import write_json
from hlx_model.layout import BASELINES, Artifacts
from hlx_model.providers.question import Choice
from hlx_model.reporting.baselines import BaselineModel, Baselines
from hlx_model.reporting.models import Rates
from tests.support.command import Hlx
from tests.support.reports import rates


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """The place of a checkpoint."""
    path = tmp_path / "artifacts" / "training" / ("0" * 16) / "checkpoints" / "phase3_FINAL_epoch8"
    path.mkdir(parents=True)
    return path


def test_the_table_has_every_model_and_says_what_is_missing(checkpoint: Path, hlx: Hlx) -> None:
    ours = own_model("ours", OwnReplies((), 0.5), own_cost(usd_per_hour=7.2))
    gone = model_of(Choice("xai", "gone"), Replies((), {"refused": 1}, 0, "refused: no such model"), None)
    claude = BaselineModel(
        name="claude/claude-haiku-4-5", all_to_hlx={"held-out": Rates.from_json(rates(3, 8, 4))}, to_hlx={},
        outcomes={"answered": 8}, median_seconds=1.5, cost_per_1000_nanodollars=1_250_000_000,
    )  # fmt: skip
    made = Baselines(
        time="now", checkpoint="c", weights_sha256="ab", corpora={}, rows={"held-out": 8}, examples=8,
        own_cost="$7.2 an hour", models=[ours, claude, gone],
    )  # fmt: skip
    write_json(Artifacts.of_checkpoint(checkpoint).baselines(checkpoint) / BASELINES, made.to_json())
    shown = hlx("baselines", checkpoint)
    assert shown.code == 0
    assert {"37.5%", "50.0%", "100.0%", "$1.25", "1.5"} <= set(shown.out.split())
    assert "xai/gone has 0 rows: refused: no such model" in shown.out and "cost of ours: $7.2 an hour" in shown.out
    assert Baselines.from_json(json.loads(hlx("baselines", checkpoint, "--json").out)) == made
    assert ours.cost_per_1000 == "$1.00"


def test_a_checkpoint_that_was_not_compared_is_named_with_what_to_do(checkpoint: Path, hlx: Hlx) -> None:
    said = hlx("baselines", checkpoint)
    assert said.code == 1 and "set HLX_BASELINES, and materialize phase3_baselines" in said.err
