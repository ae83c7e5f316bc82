"""Trainings as pods of Kubernetes, through what dagster-k8s offers to build one.

DAGSTER_HOME must be the root of a volume claim that several nodes can mount (ReadWriteMany). The pod mounts it at the
same path, so all paths mean the same there. Its image must contain the same version of HLX Brain.
https://docs.dagster.io/integrations/libraries/k8s, https://kubernetes.io/docs/concepts/workloads/pods/.
"""

import os
import re
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import Field

from hlx_assets.launchers.launcher import Cluster, Trainer
from hlx_model import __version__
from hlx_model.environment import Environment
from hlx_model.shown import one_line

LABELS = {
    "app.kubernetes.io/name": "hlx-brain", "app.kubernetes.io/instance": "hlx-brain",
    "app.kubernetes.io/part-of": "hlx-brain", "app.kubernetes.io/component": "trainer",
    "app.kubernetes.io/version": __version__,
}  # fmt: skip
"""Of each trainer; those of dagster-k8s name Dagster."""
NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
"""In a pod: contains the pod's namespace."""
_LONGEST_LABEL = 63
_PART = "[a-z0-9]+(?:(?:[.]|__?|-+)[a-z0-9]+)*"
_HOST = "[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_IMAGE = (
    f"^(?:{_HOST}(?:[.]{_HOST})*(?::[0-9]+)?/)?{_PART}(?:/{_PART})*"
    "(?::[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(?:@sha256:[0-9a-f]{64})?$"
)
_Label = Annotated[
    str, Field(pattern="^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$", description="a DNS label: small letters, digits and -")
]
_SECONDS = {"m": 60, "h": 3600, "d": 86400}


class Kubernetes(Cluster):
    """A pod of Kubernetes."""

    name: ClassVar[str] = "kubernetes"
    namespace: _Label
    image: Annotated[str, Field(pattern=_IMAGE, description="an image, such as registry.example.org/hlx-brain:cuda")]
    claim: _Label
    """The persistent volume claim whose root is DAGSTER_HOME."""
    memory: Annotated[
        str | None, Field(pattern="^[1-9][0-9]*([.][0-9]{1,3})?(M|G|T|Mi|Gi|Ti)$", description="memory, such as 16Gi")
    ] = None
    """Of the whole pod."""
    time: Annotated[
        str | None, Field(pattern="^[1-9][0-9]{0,4}[mhd]$", description="a time, such as 90m, 12h or 2d")
    ] = None
    """After which Kubernetes ends the pod. Materialized again, the training resumes."""

    def require(self) -> None:
        """Require the client of Kubernetes, and the configuration of a cluster."""
        if find_spec("dagster_k8s") is None:
            raise ValueError(
                f"the trainer is {self}, and dagster-k8s is missing: pip install -c constraints.txt -e '.[kubernetes]'"
            )
        _configuration()

    @contextmanager
    def start(self, arguments: Sequence[str], environment: Mapping[str, str], name: str) -> Iterator[Trainer]:
        """Start a trainer (`Launcher.start`)."""
        from kubernetes import client

        from hlx_assets.launchers.pod import Pod

        with client.ApiClient(_configuration()) as api:
            core = client.CoreV1Api(api)
            pod = Pod(core, self.body(arguments, environment, name, _own_pod(core, self.namespace)))
            try:
                yield pod
            finally:
                pod.stop()

    def body(
        self, arguments: Sequence[str], environment: Mapping[str, str], name: str,
        owner: Mapping[str, str] | None = None,
    ) -> Any:  # fmt: skip
        """Return the pod, a `V1Pod`.

        Args:
            arguments: of `python -m hlx_model.training`.
            environment: variables beside those that every trainer gets.
            name: of the training.
            owner: the pod with which Kubernetes deletes this one, as an owner reference; None for no one.
        """
        from dagster_k8s.pipes import build_pod_body

        from hlx_assets.home import home_directory  # which reads the setting of the trainer
        from hlx_assets.launchers.pod import GRACE_SECONDS

        home = str(home_directory())
        run_id = environment.get("HLX_RUN_ID")
        labels = {**LABELS, **({"dagster/run-id": run_id} if run_id else {})}
        volumes: list[dict[str, Any]] = [{"name": "home", "persistentVolumeClaim": {"claimName": self.claim}}]
        mounts = [{"name": "home", "mountPath": home}]
        if self.ranks > 1:
            # They exchange gradients through it, and a container has 64 MB of it.
            volumes.append({"name": "shared-memory", "emptyDir": {"medium": "Memory"}})
            mounts.append({"name": "shared-memory", "mountPath": "/dev/shm"})
        spec: dict[str, Any] = {
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": GRACE_SECONDS,
            "automountServiceAccountToken": False,  # a trainer does not talk to Kubernetes
            "containers": [{"name": "trainer", "volumeMounts": mounts, "resources": self._resources()}],
            "volumes": volumes,
        }
        if self.time is not None:
            spec["activeDeadlineSeconds"] = int(self.time[:-1]) * _SECONDS[self.time[-1]]
        if self.gpus:
            spec["tolerations"] = [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]
        meta: dict[str, Any] = {"labels": labels, "namespace": self.namespace}
        if owner is not None:
            meta["ownerReferences"] = [owner]
        body = build_pod_body(
            pod_name=dns_label(name), image=self.image, command=["python", *self.module, *arguments],
            env_vars={**_settings(), "DAGSTER_HOME": home, **self.threads, **environment},
            base_pod_meta=meta, base_pod_spec=spec,
        )  # fmt: skip
        body.api_version, body.kind = "v1", "Pod"
        return body

    def _resources(self) -> dict[str, Any]:
        """Return what the container gets: as much as it requests, so Kubernetes evicts it last."""
        given = {"nvidia.com/gpu": self.gpus, "cpu": self.all_cpus, "memory": self.memory}
        amounts = {name: str(amount) for name, amount in given.items() if amount is not None}
        return {"limits": amounts, "requests": amounts} if amounts else {}


def dns_label(name: str) -> str:
    """Return a name as a DNS label: at most 63 small letters, digits and hyphens. Different names stay different."""
    label = re.sub("[^a-z0-9]+", "-", name.lower()).strip("-")
    if len(label) <= _LONGEST_LABEL:
        return label
    return f"{label[: _LONGEST_LABEL - 9].rstrip('-')}-{sha256(name.encode()).hexdigest()[:8]}"


def _settings() -> dict[str, str]:
    """Return the variables of this process that a trainer reads; no secrets, for whoever may read a pod sees them."""
    names = set(Environment.names()) - set(Environment.secret_names())
    return {name: os.environ[name] for name in sorted(names) if os.environ.get(name, "").strip()}


def _configuration() -> Any:
    """Return how to reach the cluster: by KUBECONFIG, else as a pod of it, else by `~/.kube/config`.

    Raises:
        ValueError: one line if there is none of them, or it is not valid.
    """
    from kubernetes import client, config

    found = client.Configuration()
    found.retries = False  # `Pod` tries again itself, and says so
    found.client_side_validation = False  # a newer server may leave out what this client requires
    named = os.environ.get("KUBECONFIG")
    try:
        if named:
            config.load_kube_config(named, client_configuration=found)
        elif NAMESPACE_FILE.exists():
            config.load_incluster_config(client_configuration=found)
        else:
            config.load_kube_config(client_configuration=found)
    except Exception as error:  # also that of a program which a configuration names
        where = f"KUBECONFIG={named}" if named else "~/.kube/config, and this is no pod"
        raise ValueError(f"no Kubernetes cluster is configured ({where}): {one_line(error)}") from None
    return found


def _own_pod(core: Any, namespace: str) -> dict[str, str] | None:
    """Return an owner reference to the pod that this process runs in; None outside, or in another namespace."""
    from kubernetes import client

    try:
        if os.environ.get("KUBECONFIG") or NAMESPACE_FILE.read_text(encoding="utf-8").strip() != namespace:
            return None
        own = core.read_namespaced_pod(socket.gethostname(), namespace, _request_timeout=10)
    except (OSError, client.ApiException):
        return None
    return {"apiVersion": "v1", "kind": "Pod", "name": own.metadata.name, "uid": own.metadata.uid}
