"""Trainings as pods, against a small API server with the real client of Kubernetes, and against the schemas."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from hlx_assets.curriculum.trainer import _failure_reason
from hlx_assets.launchers import kubernetes
from hlx_assets.launchers.kubernetes import LABELS, Kubernetes, dns_label
from hlx_assets.launchers.launcher import Trainer
from hlx_assets.launchers.setting import launcher_of
from tests.support.fake_kubernetes import FakeKubernetes
from tests.support.waiting import wait_for

pytest.importorskip("dagster_k8s", reason="dagster-k8s is not installed: pip install -e '.[kubernetes]'")
from hlx_assets.launchers import pod as pod_module

SETTING = "kubernetes namespace=hlx image=registry.example.org/hlx-brain:cuda claim=hlx-home"
RUN = "0f8f9a8c-4d3e-4a0e-9a65-0c9d7f4b7e11"
TRAINING = f"hlx-{RUN}-phase1_checkpoint"
NAME = f"hlx-{RUN}-phase1-checkpoint"


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeKubernetes]:
    """A server, to which the client is led; nothing waits between two looks."""
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    monkeypatch.setattr(pod_module, "POLL_SECONDS", 0.0)
    monkeypatch.setattr(pod_module, "STOP_STEP", 0.05)
    with FakeKubernetes() as cluster:
        monkeypatch.setenv("KUBECONFIG", cluster.kubeconfig(tmp_path))
        yield cluster


@contextmanager
def started(options: str = "") -> Iterator[Trainer]:
    """A trainer, whose pod was made."""
    launcher = launcher_of(f"{SETTING} {options}")
    launcher.require()
    with launcher.start(["--phase", "1"], {"HLX_RUN_ID": RUN}, TRAINING) as trainer:
        assert trainer.poll() is None
        yield trainer


def why(trainer: Trainer) -> str:
    """Why a run fails whose trainer has ended without a result."""
    code = trainer.poll()
    assert code is not None
    return _failure_reason(code, trainer.errors())


def test_a_pod_starts_runs_and_succeeds(cluster: FakeKubernetes) -> None:
    with started() as trainer:
        assert str(trainer) == f"pod hlx/{NAME}"
        assert cluster.asked("POST")[0].path == "/api/v1/namespaces/hlx/pods"
        cluster.wait(NAME, "ContainerCreating")
        assert trainer.poll() is None and trainer.notices() == []
        cluster.run(NAME)
        assert trainer.poll() is None and trainer.poll() is None
        assert trainer.notices() == [f"pod hlx/{NAME}: Running: on node gpu-1"]
        cluster.logs[NAME] = "one\ntwo\n"
        cluster.finish(NAME, 0)
        assert trainer.poll() == 0
        assert trainer.errors() == ["one", "two"]
        trainer.stop()
        assert not cluster.pods
        assert trainer.poll() == 0
    assert len(cluster.asked("DELETE")) == 1


def test_an_error_of_the_user_is_the_line_of_the_trainer(cluster: FakeKubernetes) -> None:
    with started() as trainer:
        cluster.logs[NAME] = "a warning\nerror: epochs is 0: it must be 1 or more\n"
        cluster.finish(NAME, 1)
        assert trainer.poll() == 1 and why(trainer) == "epochs is 0: it must be 1 or more"


@pytest.mark.parametrize(("code", "expected"), [
    (137, "the trainer was killed (by the kernel if memory ran out, or by somebody): materialize again to resume"),
    (143, "the trainer was ended by SIGTERM: materialize again to resume"),
    (255, "the trainer ended with exit code 255: materialize again to resume"),
])  # fmt: skip
def test_an_exit_code_is_read_as_a_shell_reads_it(cluster: FakeKubernetes, code: int, expected: str) -> None:
    with started() as trainer:
        cluster.finish(NAME, code)
        assert why(trainer) == expected


def test_a_pod_that_needs_more_memory_than_it_has_says_so(cluster: FakeKubernetes) -> None:
    with started("memory=16Gi") as trainer:
        cluster.run(NAME)
        cluster.finish(NAME, 137, reason="OOMKilled")
        assert trainer.poll() == -signal.SIGKILL
        assert why(trainer) == (
            f"pod hlx/{NAME} ran out of memory (OOMKilled): raise its option memory, or set accumulation; "
            "then materialize again to resume"
        )


def test_what_a_pod_waits_for_is_said_once(cluster: FakeKubernetes) -> None:
    with started("gpus=1") as trainer:
        for nodes in (3, 4):
            message = f"0/{nodes} nodes are available: {nodes} Insufficient nvidia.com/gpu."
            cluster.condition(NAME, "PodScheduled", "False", "Unschedulable", message)
            assert trainer.poll() is None
        assert trainer.notices() == [
            f"pod hlx/{NAME}: Unschedulable: 0/3 nodes are available: 3 Insufficient nvidia.com/gpu."
        ]
        cluster.run(NAME)
        assert trainer.poll() is None and trainer.notices() == [f"pod hlx/{NAME}: Running: on node gpu-1"]


def test_a_volume_that_cannot_be_mounted_is_said_once(cluster: FakeKubernetes) -> None:
    with started() as trainer:
        cluster.events = [
            {"metadata": {}, "involvedObject": {}, "reason": reason, "message": message}
            for reason, message in (("Scheduled", "on gpu-1"), ("FailedAttachVolume", "used by another node"))
        ]
        cluster.wait(NAME, "ContainerCreating")
        assert trainer.poll() is None and trainer.poll() is None
        assert trainer.notices() == [f"pod hlx/{NAME}: FailedAttachVolume: used by another node"]


def test_an_image_that_cannot_be_pulled_ends_it(cluster: FakeKubernetes, monkeypatch: pytest.MonkeyPatch) -> None:
    with started() as trainer:
        cluster.wait(NAME, "ErrImagePull", "not found")
        assert trainer.poll() is None
        cluster.wait(NAME, "ImagePullBackOff", 'Back-off pulling image "registry.example.org/hlx-brain:cuda"')
        assert trainer.poll() is None
        assert [line.split(": ")[1] for line in trainer.notices()] == ["ErrImagePull", "ImagePullBackOff"]
        monkeypatch.setattr(pod_module, "STUCK_SECONDS", 0.0)
        assert trainer.poll() == 1
        assert why(trainer) == (
            f"pod hlx/{NAME} does not start (ImagePullBackOff: Back-off pulling image "
            '"registry.example.org/hlx-brain:cuda"): check the option image'
        )
        cluster.keeps_deleted = True  # its container has not ended, so the pod must be gone
        monkeypatch.setattr(pod_module, "GRACE_SECONDS", 0)
        monkeypatch.setattr(pod_module, "EXTRA_SECONDS", 0.1)
        trainer.stop()
        assert not cluster.pods


def test_a_cancel_gives_the_trainer_time_for_its_checkpoint(cluster: FakeKubernetes) -> None:
    cluster.keeps_deleted = True
    with started() as trainer:
        cluster.run(NAME)
        assert trainer.poll() is None
        requests = len(cluster.requests)

        def end_later() -> None:
            wait_for(lambda: len(cluster.asked("GET")) > requests + 3, "for the pod to be read")
            cluster.finish(NAME, 130)

        with background(end_later):
            trainer.stop()
        assert trainer.poll() in (-signal.SIGINT, -signal.SIGTERM)  # if the pod is gone, nobody knows its code
    assert [request.query["gracePeriodSeconds"] for request in cluster.asked("DELETE")] == ["300"]
    assert not cluster.pods


def test_a_pod_that_does_not_end_is_deleted_at_once(cluster: FakeKubernetes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pod_module, "GRACE_SECONDS", 1)
    monkeypatch.setattr(pod_module, "EXTRA_SECONDS", 0.0)
    cluster.keeps_deleted = True
    with started() as trainer:
        cluster.run(NAME)
        trainer.stop()
        assert trainer.poll() == -signal.SIGTERM
    assert [request.query["gracePeriodSeconds"] for request in cluster.asked("DELETE")] == ["1", "0"]
    assert not cluster.pods


def test_a_second_signal_deletes_it_at_once(cluster: FakeKubernetes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hlx_assets.launchers.child.SAME_SIGNAL", 0.0)
    cluster.keeps_deleted = True
    with started() as trainer:
        cluster.run(NAME)

        def interrupt() -> None:
            wait_for(lambda: bool(cluster.asked("DELETE")), "for the pod to be deleted")
            os.kill(os.getpid(), signal.SIGINT)

        with background(interrupt):
            trainer.stop(impatient=True)
    assert [request.query["gracePeriodSeconds"] for request in cluster.asked("DELETE")] == ["300", "0"]


def test_a_moment_without_an_answer_ends_nothing(cluster: FakeKubernetes) -> None:
    with started() as trainer:
        cluster.run(NAME)
        assert trainer.poll() is None and trainer.notices()
        for down, refusal in ((True, None), (False, (503, "etcd is starting")), (False, (401, "Unauthorized"))):
            cluster.down, cluster.refusal = down, refusal
            assert trainer.poll() is None and trainer.poll() is None
            (line,) = trainer.notices()
            assert line.startswith("Kubernetes does not answer (") and line.endswith("tried again for 30 minutes")
            cluster.down, cluster.refusal = False, None
            assert trainer.poll() is None and trainer.notices() == ["Kubernetes answers again"]
        cluster.finish(NAME, 0)
        assert trainer.poll() == 0


def test_half_an_hour_without_an_answer_ends_it(cluster: FakeKubernetes, monkeypatch: pytest.MonkeyPatch) -> None:
    with started() as trainer:
        cluster.run(NAME)
        cluster.refusal = (503, "etcd is starting")
        assert trainer.poll() is None
        monkeypatch.setattr(pod_module, "SILENT_SECONDS", 0.0)
        assert trainer.poll() is not None
        assert why(trainer) == (
            f"Kubernetes has not answered for 0 minutes (503: etcd is starting). pod hlx/{NAME} may still train; "
            f"`kubectl --namespace hlx delete pod {NAME}` ends it. Then materialize again to resume"
        )
        trainer.stop()
        assert len(cluster.asked("DELETE")) == 1 and NAME in cluster.pods


def test_a_pod_whose_making_was_not_answered_is_not_made_twice(cluster: FakeKubernetes) -> None:
    cluster.loses_answer = True
    with started() as trainer:
        assert trainer.poll() is None and trainer.poll() is None
        assert len(cluster.asked("POST")) == 2 and list(cluster.pods) == [NAME]
        cluster.finish(NAME, 0)
        assert trainer.poll() == 0


def test_a_pod_that_is_refused_is_one_line(cluster: FakeKubernetes) -> None:
    for status, message in ((403, 'pods is forbidden: User "hlx" cannot create'), (404, 'namespaces "hlx" not found')):
        cluster.refusal = status, message
        with launcher_of(SETTING).start([], {}, TRAINING) as trainer:
            assert trainer.poll() == 1
            assert why(trainer) == f"Kubernetes refused pod hlx/{NAME} ({status}: {message})"
    cluster.refusal = None
    with started(), launcher_of(SETTING).start([], {}, TRAINING) as other:
        assert other.poll() == 1 and "already exists" in why(other)
        other.stop()
        assert NAME in cluster.pods
    assert not cluster.pods


def test_a_pod_that_somebody_removed_is_gone(cluster: FakeKubernetes) -> None:
    with started() as trainer:
        cluster.run(NAME)
        cluster.remove(NAME)
        assert trainer.poll() == -signal.SIGKILL
        assert why(trainer) == (
            f"pod hlx/{NAME} is gone (somebody deleted it, or its node is gone): materialize again to resume"
        )
    assert not cluster.asked("DELETE")


def test_a_pod_that_somebody_deletes_writes_its_checkpoint(cluster: FakeKubernetes) -> None:
    with started() as trainer:
        cluster.run(NAME)
        cluster.pods[NAME]["metadata"]["deletionTimestamp"] = "2026-12-01T00:00:00Z"
        assert trainer.poll() is None
        cluster.finish(NAME, 130)
        assert why(trainer) == f"pod hlx/{NAME} is gone (somebody deleted it): materialize again to resume"


def test_a_pod_that_kubernetes_ends_tells_why(cluster: FakeKubernetes) -> None:
    with started() as trainer:
        cluster.run(NAME)
        cluster.fail(NAME, "Evicted", "The node was low on resource: memory.")
        assert why(trainer) == (
            f"pod hlx/{NAME} was ended (Evicted: The node was low on resource: memory.): materialize again to resume"
        )
    with started("time=12h") as trainer:
        assert cluster.pods[NAME]["spec"]["activeDeadlineSeconds"] == 12 * 3600
        cluster.fail(NAME, "DeadlineExceeded", "Pod was active on the node longer than the specified deadline")
        assert why(trainer) == f"pod hlx/{NAME} was ended after its option time: materialize again to resume"
    with started() as trainer:
        cluster.run(NAME)
        cluster.condition(NAME, "DisruptionTarget", "True", "PreemptionByScheduler", "preempting to make room")
        assert trainer.poll() is None
        cluster.finish(NAME, 130)
        assert why(trainer) == (
            f"pod hlx/{NAME} was ended (PreemptionByScheduler: preempting to make room): materialize again to resume"
        )


def test_a_command_that_the_image_lacks_is_one_line(cluster: FakeKubernetes) -> None:
    with started() as trainer:
        cluster.finish(NAME, 128, reason="StartError", message='exec: "python": executable file not found in $PATH')
        assert why(trainer) == (
            f'pod hlx/{NAME} cannot start (StartError: exec: "python": executable file not found in $PATH): '
            "check the option image"
        )


def test_a_pod_belongs_to_the_pod_that_this_process_runs_in(
    cluster: FakeKubernetes, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    own = tmp_path / "namespace"
    monkeypatch.setattr(kubernetes, "NAMESPACE_FILE", own)
    monkeypatch.setattr("socket.gethostname", lambda: "run-1")
    configuration = kubernetes._configuration()
    monkeypatch.setattr(kubernetes, "_configuration", lambda: configuration)
    monkeypatch.delenv("KUBECONFIG")
    owners: list[Any] = []
    for namespace, there in (("hlx", True), ("hlx", False), ("other", True)):
        own.write_text(namespace)
        if there:
            cluster.pods["run-1"] = {"metadata": {"name": "run-1", "uid": "u-1"}, "status": {}}
        with started():
            owners.append(cluster.pods[NAME]["metadata"].get("ownerReferences"))
        cluster.pods.clear()
    assert owners == [[{"apiVersion": "v1", "kind": "Pod", "name": "run-1", "uid": "u-1"}], None, None]


@pytest.mark.parametrize(("options", "resources"), [
    ("", {}),
    ("cpus=8 memory=16Gi", {"cpu": "8", "memory": "16Gi"}),
    ("gpus=2 cpus=3", {"nvidia.com/gpu": "2", "cpu": "6"}),
    ("gpus=1 processes=1 time=90m", {"nvidia.com/gpu": "1"}),
])  # fmt: skip
def test_a_pod_follows_the_schemas_of_kubernetes(
    options: str, resources: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    validator = pytest.importorskip("kubernetes_validate", reason="kubernetes-validate is not installed")
    from kubernetes.client import ApiClient

    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    monkeypatch.setenv("HLX_SAVE_SECONDS", "60")
    monkeypatch.setenv("HLX_API_TOKEN", "secret")
    launcher = launcher_of(f"{SETTING} {options}")
    assert isinstance(launcher, Kubernetes)
    body = launcher.body(["--phase", "1"], {"DAGSTER_PIPES_CONTEXT": "c", "HLX_RUN_ID": RUN}, TRAINING)
    pod = ApiClient().sanitize_for_serialization(body)
    for version in ("1.30", "1.36"):
        assert validator.validate(pod, version, strict=True) == version
    (container,) = pod["spec"]["containers"]
    amounts = {"limits": resources, "requests": resources} if resources else {}
    assert container["resources"] == amounts
    variables = {one["name"]: one["value"] for one in container["env"]}
    threads = {"OMP_NUM_THREADS": str(launcher.cpus)} if launcher.cpus else {}
    assert variables == threads | {
        "DAGSTER_HOME": str(tmp_path), "HLX_SAVE_SECONDS": "60", "HLX_RUN_ID": RUN, "DAGSTER_PIPES_CONTEXT": "c",
    }  # fmt: skip
    assert container["volumeMounts"][0] == {"name": "home", "mountPath": str(tmp_path)}
    assert pod["spec"]["volumes"][0] == {"name": "home", "persistentVolumeClaim": {"claimName": "hlx-home"}}
    together = ["-m", "torch.distributed.run"] if "gpus=2" in options else ["-m", "hlx_model.training"]
    assert container["command"][:3] == ["python", *together] and container["command"][-2:] == ["--phase", "1"]
    assert pod["metadata"]["labels"] == {**LABELS, "dagster/run-id": RUN}
    assert pod["metadata"]["name"] == NAME


def test_names_become_dns_labels() -> None:
    assert dns_label(TRAINING) == NAME
    long = [dns_label(f"{TRAINING}_with_a_long_name_{number}") for number in (1, 2)]
    assert len(set(long)) == 2 and all(len(label) <= 63 and label == dns_label(label) for label in long)


def test_a_missing_client_or_cluster_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "missing"))
    with pytest.raises(ValueError, match=r"^no Kubernetes cluster is configured \(KUBECONFIG=[^\n]*/missing\): "):
        launcher_of(SETTING).require()
    monkeypatch.setattr(kubernetes, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"dagster-k8s is missing: pip install -c constraints\.txt -e '\.\[kub"):
        launcher_of(SETTING).require()


@contextmanager
def background(work: Any) -> Iterator[None]:
    """Do some work in a thread while the block runs."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor() as pool:
        done = pool.submit(work)
        yield
        done.result()
