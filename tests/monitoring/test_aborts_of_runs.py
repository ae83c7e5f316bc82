"""Each abort rule stops a real training in which its fault happens, at the right moment.

Here are those that need a training made to measure. A diverging one, numbers that overflow and a gate that fails
are in `test_loop.py`; a trainer that is killed or stands still is what the watchdog sees.
"""

import os
import random
import signal
import string
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from hlx_model.checkpoints.progress import read_state
from hlx_model.monitoring.rules import check
from hlx_model.monitoring.snapshots import take_snapshot
from hlx_model.runs.heartbeat import Heartbeat
from hlx_model.training import loop
from hlx_model.training.batches import Batch, TrainingData
from hlx_model.training.loop import train
from hlx_model.training.plan import Overrides, TrainingPlan, plan_training
from tests.support.curriculum import CPU, QUICK
from tests.support.processes import beat_in

ROOT = Path(__file__).parents[2]


def inputs_of(document: Path, training: Path, epochs: int, learning_rate: float = 2e-3) -> TrainingPlan:
    overrides = Overrides(epochs=epochs, batch_size=1, learning_rate=learning_rate)
    return plan_training(1, QUICK, overrides, corpus=[document], training=training)


def noise_from(share_of: Callable[[int], float]) -> type[TrainingData]:
    """Return data in which a share of the letters of each epoch is random."""

    class Noisy(TrainingData):
        def __init__(self, train: list[str], replay: list[list[str]], settings: object) -> None:
            super().__init__(train, replay, settings)  # type: ignore[arg-type]
            self.texts, self.given = train, settings

        def epoch(self, epoch: int) -> list[Batch]:
            chance, share = random.Random(epoch), share_of(epoch)
            spoilt = [
                "".join(chance.choice(string.ascii_letters) if chance.random() < share else c for c in text)
                for text in self.texts
            ]
            return TrainingData(spoilt, [], self.given).epoch(epoch)  # type: ignore[arg-type]

    return Noisy


def test_a_corpus_of_one_sentence_is_stopped_as_collapsed(small_document: Path, tmp_path: Path) -> None:
    plan = inputs_of(small_document, tmp_path / "training", epochs=9)
    outcome = train(replace(plan, train=["Sort"] * 800, held_out=["Sort"]), execution=CPU)
    stopped, losses = outcome.manifest.stopped, read_state(outcome.checkpoint).epoch_losses
    assert stopped is not None and stopped.startswith("training loss collapsed: ")
    assert stopped.endswith("check that the labels are not the inputs, and that the corpus is more than one sentence")
    assert losses[-1] < 0.001 <= min(losses[:-1]) and outcome.manifest.epoch == len(losses) < 10


def test_a_loss_that_rises_for_five_epochs_is_stopped_at_the_fifth(
    small_document: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From epoch 22 on, more and more of the text is noise."""
    monkeypatch.setattr(loop, "TrainingData", noise_from(lambda epoch: max(0, epoch - 21) * 0.08))
    plan = inputs_of(small_document, tmp_path / "training", epochs=40)
    # So small a corpus is learned by Muon before the noise is enough.
    outcome = train(replace(plan, settings=replace(plan.settings, optimizer="adamw")), execution=CPU)
    assert outcome.manifest.stopped is not None and outcome.manifest.epoch == 26
    assert outcome.manifest.stopped.startswith("training loss rose for 5 epochs in a row, from ")
    assert outcome.manifest.stopped.endswith(": use a lower learning rate")


def test_a_corpus_that_turns_to_noise_is_stopped_after_twenty_spikes(
    small_document: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "TrainingData", noise_from(lambda epoch: float(epoch >= 31)))
    plan = inputs_of(small_document, tmp_path / "training", epochs=50)
    outcome = train(plan, execution=CPU)
    assert outcome.manifest.stopped is not None
    assert outcome.manifest.stopped.startswith("training loss spiked in 20 of the last 100 steps, required < 20 (step ")
    assert "use a lower learning rate, or check the corpus" in outcome.manifest.stopped
    steps_an_epoch = len(TrainingData(plan.train, [], plan.settings).epoch(1))
    first_bad = 30 * steps_an_epoch + 1
    step = outcome.manifest.step + 1
    assert f"(step {step}: " in outcome.manifest.stopped
    assert first_bad + 19 <= step <= first_bad + 24  # the history is short and wide: not the very first is a spike
    beat = beat_in(plan.directory)
    assert (beat.status, beat.reason) == ("aborted", outcome.manifest.stopped)


def test_the_watchdog_finds_a_trainer_that_stands_still(small_document: Path, tmp_path: Path) -> None:
    """Stopped by a signal, as a sleeping machine or a hanging disk would stop it."""
    training = tmp_path / "training"
    command = [sys.executable, "-m", "hlx_model.training", "--phase", "1", "--corpus", str(small_document),
               "--checkpoint-dir", str(training), "--epochs", "200", "--batch-size", "1"]  # fmt: skip
    with subprocess.Popen(
        command, cwd=ROOT, stderr=subprocess.DEVNULL, env={**os.environ, "OMP_NUM_THREADS": "1"}
    ) as p:
        while not any(beat.step for d in training.glob("*") if (beat := Heartbeat.read(d))):
            assert p.poll() is None
            time.sleep(0.05)
        p.send_signal(signal.SIGSTOP)
        (directory,) = (path.parent for path in training.glob("*/heartbeat.json"))
        seen = take_snapshot(directory, print)
        assert check(seen, 0.0) is None
        stalled = check(seen, 301)
        assert stalled is not None and stalled.reason.startswith("no progress for 301 seconds")
        p.kill()
        p.wait()
        seen = take_snapshot(directory, print)
        gone = check(seen, 0.0)
        assert gone is not None and f"process {p.pid} is gone" in gone.reason
