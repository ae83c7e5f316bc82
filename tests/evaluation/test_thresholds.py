"""The thresholds and the version of the gates that follows from them."""

import pyarrow as pa
import pytest

from hlx_model.evaluation.fitness import BY_HEART, LIMITS, Requirements, lowered, stated
from hlx_model.evaluation.gates import GATES
from hlx_model.evaluation.measurements import few_held_out
from hlx_model.evaluation.verdict import GATES_VERSION
from hlx_model.profiles import PROFILES


def test_the_gates_version_is_that_of_every_kept_verdict() -> None:
    assert GATES_VERSION == "6-3746d945"


def test_every_profile_has_a_limit_for_every_gate_on_a_rate() -> None:
    assert LIMITS.keys() == PROFILES.keys()
    assert len({tuple(limits) for limits in LIMITS.values()}) == 1
    assert GATES.keys() >= LIMITS["quick"].keys() >= BY_HEART.keys()


def test_production_requires_no_less_than_quick() -> None:
    for gate, limit in LIMITS["production"].items():
        assert limit.required >= LIMITS["quick"][gate].required and limit.good >= LIMITS["quick"][gate].good


def test_what_is_learned_by_heart_has_limits_of_its_own() -> None:
    by_heart, held_out = (Requirements("quick").fitness(by_heart=by_heart).limits for by_heart in (True, False))
    assert by_heart["training_pairs"].required == 0.9 and held_out["training_pairs"].required == 0.1
    assert by_heart["parse_rate"] == held_out["parse_rate"]


def test_the_profile_is_that_of_the_environment_unless_one_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Requirements().fitness(by_heart=False).profile == "quick"
    monkeypatch.setenv("HLX_PROFILE", "production")
    assert Requirements().fitness(by_heart=False).limits["evaluation"].required == 0.8
    assert Requirements("quick").fitness(by_heart=False).limits["evaluation"].required == 0.35


def test_a_changed_limit_is_known_as_lowered_if_it_is() -> None:
    fitness = Requirements("quick", {"evaluation": 0.2, "words": 0.9}).fitness(by_heart=False)
    assert lowered(fitness) == [("evaluation", 0.2, 0.35)]
    assert (fitness.limits["words"].required, fitness.limits["words"].good) == (0.9, 0.9)
    assert lowered(Requirements("quick", {"evaluation": 0.35}).fitness(by_heart=False)) == []


@pytest.mark.parametrize(
    ("profile", "changed", "said"),
    [
        ("fast", {}, "profile is 'fast': choose one of quick, production"),
        (None, {"perplexity": 0.5}, "no rate of 'perplexity' can be required: choose one of words, "),
        (None, {"words": 50}, "the rate that words requires is 50: it must be from 0 to 1"),
    ],
)
def test_what_cannot_be_required_is_one_line(profile: str | None, changed: dict[str, float], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Requirements(profile, changed)


def test_the_documentation_states_the_limits_of_every_profile() -> None:
    assert stated("words") == "≥ 50% (good ≥ 80%)"
    assert stated("evaluation") == "≥ 35% (good ≥ 50%); production ≥ 80%"


@pytest.mark.parametrize(
    ("column", "held_out", "few"),
    [("value_sha256", 35, True), ("value_sha256", 36, False), ("english", 79, True), ("english", 80, False)],
)
def test_so_few_held_out_values_or_sentences_cannot_show_generalization(column: str, held_out: int, few: bool) -> None:
    texts = [str(i) for i in range(held_out)]
    splits = ["test"] * 2 * held_out + ["train"] * 100
    rows = pa.table({column: [*texts, *texts, *(f"other {i}" for i in range(100))], "split": splits})
    assert few_held_out(rows, "test") == few
