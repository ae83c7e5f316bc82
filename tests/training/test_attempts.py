"""A stopped training is final; a retry is a training of its own, in a directory of its own."""

import os
import signal
from pathlib import Path

import pytest

from hlx_model.checkpoints.seal import verify_checkpoint
from hlx_model.cleanup import carry_out, plan_cleanup
from hlx_model.files import read_json
from hlx_model.provenance.verify import verify_lineage
from hlx_model.training.events import Event, Recorded
from hlx_model.training.loop import Interrupted, train
from hlx_model.training.plan import Overrides, TrainingPlan, plan_training
from tests.support.curriculum import CPU, QUICK


class Stopping:
    """A training that diverges and is stopped, whenever it is tried."""

    def __init__(self, document: Path, training: Path) -> None:
        self.document, self.training = document, training

    def plan(self, *, retry: bool = False) -> TrainingPlan:
        overrides = Overrides(epochs=5, batch_size=1, learning_rate=10.0)
        return plan_training(
            1, QUICK, overrides, corpus=[self.document], training=self.training, retry_stopped=retry
        )  # fmt: skip

    def stop(self, *, retry: bool = False) -> Path:
        """Train until it is stopped, and return the STOPPED checkpoint."""
        result = train(self.plan(retry=retry), execution=CPU)
        assert result.manifest.kind == "STOPPED"
        return result.checkpoint


@pytest.fixture
def stopping(small_document: Path, tmp_path: Path) -> Stopping:
    return Stopping(small_document, tmp_path / "training")


def contents(directory: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def test_a_retry_trains_in_a_new_directory_and_leaves_the_first_as_it_was(stopping: Stopping) -> None:
    first = stopping.stop()
    before = contents(first.parents[1])
    second = stopping.stop(retry=True)
    assert second.parents[1] != first.parents[1] and contents(first.parents[1]) == before
    assert verify_checkpoint(first).manifest.attempt == 1 and "attempt" not in read_json(first / "manifest.json")
    assert verify_checkpoint(second).manifest.attempt == 2 and read_json(second / "manifest.json")["attempt"] == 2
    assert verify_checkpoint(second).manifest.weights_sha256 == verify_checkpoint(first).manifest.weights_sha256


def test_each_retry_is_one_attempt_more_and_without_one_the_newest_is_found(stopping: Stopping) -> None:
    ended = [stopping.stop(), stopping.stop(retry=True), stopping.stop(retry=True)]
    assert [verify_checkpoint(path).manifest.attempt for path in ended] == [1, 2, 3]
    found = train(stopping.plan(), execution=CPU)
    assert found.found and found.checkpoint == ended[-1]


def test_the_id_of_a_later_attempt_is_verified(stopping: Stopping) -> None:
    stopping.stop()
    findings = {finding.link: finding.outcome for finding in verify_lineage(stopping.stop(retry=True))}
    (identity,) = (link for link in findings if link.endswith(": training id"))
    assert findings[identity] == "ok" and "broken" not in findings.values()


def test_a_killed_retry_is_resumed_with_and_without_the_flag(stopping: Stopping) -> None:
    first = stopping.stop()

    def interrupt(event: Event) -> None:
        if isinstance(event, Recorded):
            os.kill(os.getpid(), signal.SIGTERM)

    plan = stopping.plan(retry=True)
    plan.directory.mkdir()  # where a kill right after the start leaves it
    assert stopping.plan().id == plan.id
    with pytest.raises(Interrupted):
        train(plan, execution=CPU, emit=interrupt)
    assert stopping.plan().id == stopping.plan(retry=True).id == plan.id
    second = stopping.stop(retry=True)
    assert second.parents[1] == plan.directory != first.parents[1]


def test_a_training_that_was_not_stopped_is_found_by_a_retry(small_document: Path, tmp_path: Path) -> None:
    def plan(*, retry: bool) -> TrainingPlan:
        return plan_training(
            1, QUICK, Overrides(epochs=1), corpus=[small_document], training=tmp_path / "training", retry_stopped=retry
        )

    final = train(plan(retry=True), execution=CPU)
    assert final.manifest.kind == "FINAL" and plan(retry=True).attempt == 1
    assert train(plan(retry=True), execution=CPU).found


def test_cleaning_keeps_what_each_attempt_ended_with(stopping: Stopping) -> None:
    ended = [stopping.stop(), stopping.stop(retry=True)]
    carry_out(plan_cleanup(stopping.training))
    for path in ended:
        verify_checkpoint(path)
    assert stopping.plan().attempt == 2
