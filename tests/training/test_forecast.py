"""What a training will take is said before its first step."""

from pathlib import Path

import pytest

from hlx_model.training.forecast import duration, forecast, forecast_of_phase, is_slow, machine
from hlx_model.training.plan import Overrides
from hlx_model.training.settings import Settings
from tests.support.curriculum import CPU, QUICK, Curriculum

SETTINGS = Settings(phase=1, size="tiny", epochs=3, batch_size=4, seq_length=64, learning_rate=1e-3)
TEXTS = ["Search for documents", "Read it"] * 20


def test_epochs_and_tokens_are_those_of_the_training(curriculum: Curriculum) -> None:
    for number, trained in curriculum.phases.items():
        plan = trained.plan
        corpus = curriculum.root / plan.corpora[f"{['english', 'hlx', 'paired'][number - 1]}_corpus"].path
        overrides = Overrides(epochs=plan.settings.epochs, batch_size=plan.settings.batch_size, replay=0.1)
        found = forecast_of_phase(number, corpus, QUICK, overrides, CPU, curriculum.training)
        assert found.settings == plan.settings
        assert found.tokens == plan.settings.epochs * sum(len(text) + 1 for text in plan.train)
        assert found.examples == len(plan.train)


def test_a_speed_is_that_of_the_last_training_here(curriculum: Curriculum, tmp_path: Path) -> None:
    known = forecast(SETTINGS, TEXTS, CPU, curriculum.training)
    assert known.basis == f"as training {curriculum.phases[1].plan.id[:8]} here"
    measured = forecast(SETTINGS, TEXTS, CPU, tmp_path)
    assert measured.basis == "measured on 3 steps" and measured.speed and measured.speed > 0
    unknown = forecast(Settings(**{**vars(SETTINGS), "size": "10m"}), TEXTS, CPU, curriculum.training, measure=False)
    assert unknown.speed is None and unknown.seconds is None
    assert str(unknown) == "phase 1, 10m: 3 epochs of 580 tokens"


def test_a_forecast_is_one_line(tmp_path: Path) -> None:
    line = str(forecast(SETTINGS, TEXTS, CPU, tmp_path, first_epoch=3))
    assert line.startswith("phase 1, tiny: 1 epoch of 580 tokens, about 1 s (") and "\n" not in line


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "1 s"), (89, "89 s"), (91, "2 min"), (3600, "60 min"), (7200, "2.0 hours"), (1e6, "12 days")],
)
def test_a_time_is_said_in_the_unit_of_its_length(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_a_machine_without_a_gpu_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert machine(CPU, mixed=False).startswith("cpu (no GPU: ") and machine(CPU, mixed=False).endswith("), fp32")


@pytest.mark.parametrize(
    ("size", "device", "slow"), [("tiny", "cpu", False), ("10m", "cpu", True), ("1b", "cpu", True)]
)
def test_a_large_model_on_a_cpu_wants_a_yes(tmp_path: Path, size: str, device: str, slow: bool) -> None:
    settings = Settings(**{**vars(SETTINGS), "size": size})
    assert is_slow(forecast(settings, TEXTS, CPU, tmp_path, measure=False), CPU) == slow
