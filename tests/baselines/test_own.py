"""Our model is measured on the same rows, and its cost is that of a stated machine."""

import pytest

from hlx_model.baselines.own import own_cost, own_replies
from hlx_model.baselines.sample import SampleRow
from hlx_model.baselines.table import own_model
from hlx_model.language import Format
from tests.support.answers import SEARCH
from tests.support.models import Writer


@pytest.mark.parametrize(
    ("stated", "nanodollars_per_hour"),
    [({"usd_per_hour": 3.6}, 3.6e9), ({"watts": 500.0, "usd_per_kwh": 0.4}, 0.2e9), ({"usd_per_hour": 0.0}, 0.0)],
)
def test_an_hour_costs_its_rent_or_its_power(stated: dict[str, float], nanodollars_per_hour: float) -> None:
    assert own_cost(**stated).nanodollars_per_hour == pytest.approx(nanodollars_per_hour)


@pytest.mark.parametrize(
    ("stated", "said"),
    [
        ({"watts": 300.0}, "belong together"),
        ({"usd_per_kwh": 0.3}, "belong together"),
        ({"usd_per_hour": 1.0, "watts": 300.0, "usd_per_kwh": 0.3}, "state the rent or the power"),
        ({"usd_per_hour": -1.0}, "usd_per_hour is -1.0"),
        ({"watts": float("nan"), "usd_per_kwh": 0.3}, "watts is nan"),
    ],
)
def test_a_wrong_statement_is_refused(stated: dict[str, float], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        own_cost(**stated)


def test_our_model_is_measured_on_the_same_rows() -> None:
    rows = [
        SampleRow("held-out", "small.md", f"Search {number}", format, (SEARCH[format],))
        for number in range(10)
        for format in Format
    ]
    found = own_replies(Writer(lambda prompt: SEARCH["HLXL"]), rows)
    made = own_model("ours", found, own_cost(usd_per_hour=3.6))
    assert made.own and made.all_to_hlx["held-out"].samples == 40
    assert {format: rates.exact_match for format, rates in made.to_hlx["held-out"].items()} == {
        format: float(format is Format.HLXL) for format in Format
    }
    assert made.cost_per_1000_nanodollars == pytest.approx(found.seconds_each * 1e9, rel=0.01)
    assert made.median_seconds and made.median_seconds > 0
    assert own_model("ours", found, own_cost()).cost_per_1000_nanodollars is None
