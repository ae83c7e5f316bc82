"""state.json keeps its keys while the code has other names, and an error names file and field."""

from pathlib import Path

import pytest

from hlx_model.checkpoints.progress import AbortMemory, Progress, read_state
from hlx_model.files import json_text, write_json
from hlx_model.layout import STATE
from hlx_model.verdicts import GateResult, Milestone

GATE = GateResult("copy_rate", "fail", "90% copied, required ≤ 50%", float("nan"), 0.5, 12)
PROGRESS = Progress(
    epoch=3,
    current_epoch=2,
    initial_held_out_loss=4.5,
    aborts=AbortMemory(initial_loss=4.75, losses=(4.75, 4.5), spikes=(0, 1)),
    milestones=[Milestone(epoch=1, outcome="fail", gates=(GATE,))],
    scaler={"scale": 65536.0, "growth_interval": 2000},
)


def test_renamed_fields_keep_their_keys() -> None:
    content = PROGRESS.to_json()
    assert list(content) == [
        "epoch", "batch", "step", "begun", "epoch_loss", "epoch_tokens", "window_loss", "window_tokens",
        "epoch_losses", "began", "best_loss", "best_epoch", "milestones", "aborts", "scaler",
    ]  # fmt: skip
    assert content["aborts"] == {"began": 4.75, "losses": [4.75, 4.5], "spikes": [0, 1], "warned": []}
    assert content["milestones"] == [{"epoch": 1, "outcome": "fail", "gates": [GATE.to_json()]}]


def test_what_was_written_is_read_back_to_the_same_bytes(tmp_path: Path) -> None:
    write_json(tmp_path / STATE, PROGRESS.to_json())
    found = read_state(tmp_path)
    assert json_text(found.to_json()) == (tmp_path / STATE).read_text(encoding="utf-8")
    assert (found.aborts, found.scaler) == (PROGRESS.aborts, PROGRESS.scaler)


def test_a_state_of_before_warnings_is_read() -> None:
    older = PROGRESS.to_json()
    del older["aborts"]["warned"]
    assert Progress.from_json(older).aborts == PROGRESS.aborts


def test_a_damaged_state_is_refused_by_file_and_field(tmp_path: Path) -> None:
    write_json(tmp_path / STATE, {**PROGRESS.to_json(), "epoch_losses": [1.0, "low"]})
    with pytest.raises(ValueError, match=rf"{STATE}: epoch_losses\.1: "):
        read_state(tmp_path)
