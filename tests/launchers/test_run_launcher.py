"""The `run_launcher` and the role of `docs/deployment.md`, against dagster-k8s and the schemas of Kubernetes."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from hlx_assets.launchers.kubernetes import Kubernetes
from hlx_assets.launchers.setting import launcher_of
from tests.support.fake_kubernetes import FakeKubernetes

pytest.importorskip("dagster_k8s", reason="dagster-k8s is not installed: pip install -e '.[kubernetes]'")
pytest.importorskip("kubernetes_validate", reason="kubernetes-validate is not installed")
import dagster as dg
import kubernetes_validate
from dagster._core.utils import make_new_run_id
from dagster._serdes import ConfigurableClassData
from dagster_k8s import K8sRunLauncher
from dagster_k8s.job import construct_dagster_k8s_job
from kubernetes.client import ApiClient

DOCUMENT = Path(__file__).parents[2] / "docs/deployment.md"
VERSIONS = ("1.30", "1.36")


def shown(word: str) -> dict[str, Any]:
    """The YAML of the document that contains a word."""
    blocks = re.findall(r"^```yaml\n(.*?)^```", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    found: dict[str, Any] = yaml.safe_load(next(block for block in blocks if word in block))
    return found


def test_the_run_launcher_of_the_document_makes_a_valid_job(tmp_path: Path) -> None:
    given = shown("K8sRunLauncher")["run_launcher"]
    with FakeKubernetes() as cluster:
        local = {"load_incluster_config": False, "kubeconfig_file": cluster.kubeconfig(tmp_path)}
        config = yaml.safe_dump({**given["config"], **local})
        launcher = ConfigurableClassData(given["module"], given["class"], config).rehydrate(as_type=K8sRunLauncher)
        context = launcher.get_container_context_for_run(dg.DagsterRun(job_name="curriculum", run_id=make_new_run_id()))
        job = construct_dagster_k8s_job(
            context.get_k8s_job_config(job_image=None, run_launcher=launcher), ["dagster", "api", "execute_run"],
            "dagster-run-1", user_defined_k8s_config=context.run_k8s_config,
        )  # fmt: skip
    body = ApiClient().sanitize_for_serialization(job)
    for version in VERSIONS:
        assert kubernetes_validate.validate(body, version, strict=True) == version
    pod = body["spec"]["template"]["spec"]
    (setting,) = (one["value"] for one in pod["containers"][0]["env"] if one["name"] == "HLX_TRAINER")
    trainer = launcher_of(setting)
    assert isinstance(trainer, Kubernetes)
    claims = [one["persistentVolumeClaim"]["claimName"] for one in pod["volumes"] if "persistentVolumeClaim" in one]
    assert claims == [trainer.claim] and trainer.namespace == given["config"]["job_namespace"]
    mounts = {one["mountPath"] for one in pod["containers"][0]["volumeMounts"]}
    assert given["config"]["dagster_home"] in mounts


def test_the_role_of_the_document_allows_what_the_launcher_does() -> None:
    role = shown("kind: Role")
    for version in VERSIONS:
        assert kubernetes_validate.validate(role, version, strict=True) == version
    assert {(rule["resources"][0], verb) for rule in role["rules"] for verb in rule["verbs"]} == {
        ("pods", "create"), ("pods", "get"), ("pods", "delete"), ("pods/log", "get"), ("events", "list"),
    }  # fmt: skip
