"""The profiles and what chooses one."""

import pytest

from hlx_model.phases import PHASES
from hlx_model.profiles import PROFILES, Schedule, options_for, profile
from hlx_model.training.settings import Settings


def test_quick_is_the_profile_if_none_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    assert profile() is PROFILES["quick"]
    monkeypatch.setenv("HLX_PROFILE", "")
    assert profile() is PROFILES["quick"]


def test_the_environment_chooses_and_a_name_overrides_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HLX_PROFILE", "production")
    assert profile() is PROFILES["production"]
    assert profile("quick") is PROFILES["quick"]


def test_an_unknown_profile_is_refused_and_the_known_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HLX_PROFILE", "fast")
    with pytest.raises(ValueError, match="HLX_PROFILE is 'fast': choose one of quick, production"):
        profile()


@pytest.mark.parametrize("name", sorted(PROFILES))
@pytest.mark.parametrize("phase", PHASES)
def test_every_profile_has_valid_settings_for_every_phase(name: str, phase: int) -> None:
    p = PROFILES[name]
    schedule = p.schedules[phase]
    Settings(
        phase, p.size, schedule.epochs, p.batch_size, p.seq_length, schedule.learning_rate, p.seed, p.replay,
        p.mixed_precision, p.optimizer, prompt_weight=p.prompt_weight, english_weight=p.english_weight,
    )  # fmt: skip


def test_production_is_the_reference_schedule() -> None:
    p = PROFILES["production"]
    schedules = [p.schedules[phase] for phase in PHASES]
    assert (p.size, p.batch_size, p.seq_length, p.mixed_precision) == ("100m", 4, 256, True)
    assert [s.epochs for s in schedules] == [200, 200, 50]
    assert [s.learning_rate for s in schedules] == [1e-4, 1e-4, 5e-5]
    assert [s.epochs_for(1) for s in schedules] == [200, 200, 50]
    assert (p.gate_every, PROFILES["quick"].gate_every) == (10, 0)


@pytest.mark.parametrize(
    ("tokens", "of_an_epoch", "epochs"),
    [(1000, 100, 10), (1000, 5000, 1), (1000, 1, 50), (1000, 300, 3), (None, 1, 50)],
)
def test_a_schedule_in_tokens_is_rounded_to_epochs_within_its_bounds(
    tokens: int | None, of_an_epoch: int, epochs: int
) -> None:
    assert Schedule(epochs=50, tokens=tokens, learning_rate=1e-3).epochs_for(of_an_epoch) == epochs


def test_options_name_the_profile_and_what_differs_from_it() -> None:
    quick, production = (
        {"optimizer": p.optimizer, "batch_size": p.batch_size, "seq_length": 256, "replay": p.replay}
        for p in PROFILES.values()
    )
    for phase, settings, options in (
        (1, quick | {"learning_rate": 6e-3}, " --profile quick"),
        (3, production | {"learning_rate": 5e-5}, " --profile production"),
        (1, production | {"learning_rate": 5e-5}, " --profile production --lr 5e-05"),
        (2, quick | {"learning_rate": 1e-3, "batch_size": 4}, " --profile quick --lr 0.001 --batch-size 4"),
        (2, quick | {"learning_rate": 6e-3, "replay": 0.0}, " --profile quick --replay 0.0"),
        # A manifest of an older version does not record everything.
        (1, {"learning_rate": 1e-3, "batch_size": 8}, " --lr 0.001 --batch-size 8"),
        (1, {}, ""),
    ):
        assert options_for(phase, settings) == options
