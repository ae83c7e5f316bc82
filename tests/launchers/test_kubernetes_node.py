"""Trainings as pods whose commands are really run, with the variables of their containers alone."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from hlx_model.checkpoints.manifest import read_manifest
from hlx_model.runs.heartbeat import Heartbeat
from tests.support.dagster_home import SETTINGS, curriculum_program, make_home, opened
from tests.support.fake_kubernetes import FakeKubernetes
from tests.support.waiting import PATIENCE, wait_for

pytest.importorskip("dagster_k8s", reason="dagster-k8s is not installed: pip install -e '.[kubernetes]'")
pytestmark = pytest.mark.system
SETTING = "kubernetes namespace=hlx image=registry.example.org/hlx-brain:cpu claim=hlx-home cpus=1"


@pytest.fixture
def cluster() -> Iterator[FakeKubernetes]:
    """A server with a node."""
    with FakeKubernetes(node=True) as cluster:
        yield cluster


def test_a_training_in_a_pod_is_cancelled_resumes_and_has_the_same_bytes(
    cluster: FakeKubernetes, tmp_path: Path
) -> None:
    found: dict[str, str] = {}
    for trainer in ("local", SETTING):
        path = tmp_path / trainer.split()[0]
        make_home(path)
        environment = {"HLX_TRAINER": trainer, "KUBECONFIG": cluster.kubeconfig(tmp_path), "OMP_NUM_THREADS": "1"}
        environment |= {"HLX_SAVE_SECONDS": "0"}
        with opened(path) as home:
            config = path / "run.json"
            settings = {**SETTINGS, "corpus_document": {"corpus": str(home.path / "small.md")}}
            config.write_text(json.dumps({"ops": {name: {"config": given} for name, given in settings.items()}}))
            training = path / "artifacts/training"

            def beats(training: Path = training) -> list[Heartbeat]:
                return [beat for one in training.glob("[!.]*/") if (beat := Heartbeat.read(one)) is not None]

            if trainer == SETTING:
                with curriculum_program("--config", config, **environment) as process:
                    wait_for(lambda: any(beat.step > 0 for beat in beats()), "for a step")
                    process.send_signal(signal.SIGINT)
                    said, _ = process.communicate(timeout=PATIENCE)
                assert [beat.status for beat in beats()] == ["interrupted"], said
                assert not cluster.pods
            with curriculum_program("--config", config, **environment) as process:
                said, _ = process.communicate(timeout=PATIENCE)
            (final,) = training.glob("*/checkpoints/phase1_FINAL_*")
            found[trainer] = read_manifest(final).weights_sha256
            assert process.returncode == 0, said
    assert found["local"] == found[SETTING]
    assert len(cluster.asked("POST")) == 4 and not cluster.pods
    assert {request.query["gracePeriodSeconds"] for request in cluster.asked("DELETE")} == {"300"}
