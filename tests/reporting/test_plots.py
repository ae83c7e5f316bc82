"""The loss by step, as SVG."""

import xml.etree.ElementTree as ET
from typing import Any

import pytest

from hlx_model.reporting.plots import loss_curve
from tests.reporting.reports import phase_1

SVG = "{http://www.w3.org/2000/svg}"


def drawn(rows: list[dict[str, Any]], figures: dict[str, Any]) -> ET.Element:
    return ET.fromstring(loss_curve(rows, figures))


def points(svg: ET.Element, name: str) -> list[tuple[float, float]]:
    (line,) = [line for line in svg.iter(f"{SVG}polyline") if line.get("class") == f"series {name}"]
    pairs = (pair.split(",") for pair in (line.get("points") or "").split())
    return [(float(x), float(y)) for x, y in pairs]


def heights(svg: ET.Element) -> dict[str, float]:
    return {str(line.get("class")): float(line.get("y1") or 0) for line in svg.iter(f"{SVG}line")}


def test_training_and_held_out_loss_and_the_baselines_stand_at_their_heights() -> None:
    svg = drawn(phase_1()["curve"], phase_1()["figures"])
    (first, last), (held_out,) = points(svg, "training"), points(svg, "held-out")
    y = heights(svg)
    assert first[0] < last[0] == held_out[0]
    assert y["baseline unigram"] < y["baseline bigram"] < first[1] < held_out[1] < last[1]
    # Twice the loss stands twice as high above the axis.
    axis = 2 * last[1] - first[1]
    assert axis - held_out[1] == pytest.approx(1.25 * (axis - last[1]), abs=0.3)


def test_losses_that_are_not_finite_are_left_out_whether_named_or_not() -> None:
    rows = [{"step": i, "train_loss": loss, "held_out_loss": None}
            for i, loss in enumerate([4.0, "nan", float("inf"), 3.0, None, float("nan")])]  # fmt: skip
    assert len(points(drawn(rows, {"bigram_baseline": "nan"}), "training")) == 2


@pytest.mark.parametrize("rows", [[], [{"step": 1, "train_loss": "nan", "held_out_loss": None}]])
def test_a_training_without_losses_says_so(rows: list[dict[str, Any]]) -> None:
    assert "no loss was recorded" in "".join(drawn(rows, {}).itertext())


@pytest.mark.parametrize("loss", [0.0, 1e-9, 0.4, 1.0, 5.0, 9.99, 10.0, 2157.0, 1e30])
def test_axes_have_a_few_round_numbers_at_any_scale(loss: float) -> None:
    svg = drawn([{"step": 7, "train_loss": loss, "held_out_loss": None}], {})
    lines = [line for line in svg.iter(f"{SVG}line") if line.get("class") == "grid"]
    assert 3 <= len(lines) <= 6
    assert all(0 <= float(line.get("y1") or -1) <= 300 for line in lines)


def test_its_title_says_the_last_losses_in_words() -> None:
    title = drawn(phase_1()["curve"], phase_1()["figures"]).find(f"{SVG}title")
    assert title is not None
    assert title.text == (
        "training loss 1.00 nats at step 12,000; held-out loss 1.25 nats at step 12,000; "
        "unigram baseline 3.18; bigram baseline 2.34"
    )
