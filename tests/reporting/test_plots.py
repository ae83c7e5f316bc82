"""The loss by step, as SVG."""

import xml.etree.ElementTree as ET
from typing import Any

import pytest

from hlx_model.reporting.plots import loss_svg
from tests.support.reports import parsed, phase_1

SVG = "{http://www.w3.org/2000/svg}"
BASELINES = {"unigram_baseline": 3.18, "bigram_baseline": 2.34}


def drawn(rows: list[dict[str, Any]], baselines: dict[str, Any] | None = None) -> ET.Element:
    """Return the plot of a report with these records, each without what is not given."""
    report = phase_1()
    empty = {"epoch": 1, "held_out_loss": None, "learning_rate": None, "tokens_per_second": None}
    report["curve"] = [{**empty, **row} for row in rows]
    report["figures"] |= baselines or {"unigram_baseline": "nan", "bigram_baseline": "nan"}
    return ET.fromstring(loss_svg(parsed(report)))


def points(svg: ET.Element, name: str) -> list[tuple[float, float]]:
    (line,) = [line for line in svg.iter(f"{SVG}polyline") if line.get("class") == f"series {name}"]
    pairs = (pair.split(",") for pair in (line.get("points") or "").split())
    return [(float(x), float(y)) for x, y in pairs]


def heights(svg: ET.Element) -> dict[str, float]:
    return {str(line.get("class")): float(line.get("y1") or 0) for line in svg.iter(f"{SVG}line")}


def test_losses_and_baselines_are_drawn_to_scale() -> None:
    svg = drawn(phase_1()["curve"], BASELINES)
    (first, last), (held_out,) = points(svg, "training"), points(svg, "validation")
    y = heights(svg)
    assert first[0] < last[0] == held_out[0]
    assert y["baseline unigram"] < y["baseline bigram"] < first[1] < held_out[1] < last[1]
    # A loss twice as high is drawn twice as high above the axis.
    axis = 2 * last[1] - first[1]
    assert axis == pytest.approx(y["grid axis"], abs=0.3)
    assert axis - held_out[1] == pytest.approx(1.25 * (axis - last[1]), abs=0.3)


def test_losses_that_are_not_finite_are_left_out() -> None:
    losses = [4.0, "nan", float("inf"), 3.0, None, float("nan")]
    svg = drawn([{"step": i, "train_loss": loss} for i, loss in enumerate(losses)])
    assert len(points(svg, "training")) == 2
    assert not [name for name in heights(svg) if name.startswith("baseline")]


@pytest.mark.parametrize("rows", [[], [{"step": 1, "train_loss": "nan"}]])
def test_a_training_without_losses_says_so(rows: list[dict[str, Any]]) -> None:
    assert "no loss was recorded" in "".join(drawn(rows).itertext())


@pytest.mark.parametrize("loss", [0.0, 1e-9, 0.4, 1.0, 5.0, 9.99, 10.0, 2157.0, 1e30])
def test_axes_have_a_few_round_numbers_at_any_scale(loss: float) -> None:
    svg = drawn([{"step": 7, "train_loss": loss}])
    lines = [line for line in svg.iter(f"{SVG}line") if (line.get("class") or "").startswith("grid")]
    assert 3 <= len(lines) <= 6
    assert all(0 <= float(line.get("y1") or -1) <= 300 for line in lines)


def test_its_title_says_the_last_losses_in_words() -> None:
    title = drawn(phase_1()["curve"], BASELINES).find(f"{SVG}title")
    assert title is not None
    assert title.text == (
        "training loss 1.00 nats at step 12,000; validation loss 1.25 nats at step 12,000; "
        "unigram baseline 3.18; bigram baseline 2.34"
    )
