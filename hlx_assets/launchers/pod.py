"""A trainer in a pod: what its states mean, how it is ended, and what happens if Kubernetes does not answer.

The trainer's figures come over the shared volume, so a training continues while Kubernetes does not answer.
https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/,
https://kubernetes.io/docs/concepts/workloads/pods/disruptions/#pod-disruption-conditions.
"""

import json
import logging
import signal
import time
from contextlib import nullcontext
from typing import Any

from kubernetes.client import ApiException
from kubernetes.config import ConfigException
from urllib3.exceptions import HTTPError

from hlx_assets.launchers.child import received_signals
from hlx_model.shown import one_line

POLL_SECONDS = 5.0
"""Seconds between two looks at a pod."""
GRACE_SECONDS = 300
"""Seconds in which a trainer that gets SIGTERM must have written its checkpoint, on a slow volume too."""
EXTRA_SECONDS = 30.0
"""Seconds after them in which Kubernetes itself kills the trainer and removes the pod."""
FORCED_SECONDS = 10.0
"""Seconds in which a pod that is deleted at once must be gone."""
STOP_STEP = 1.0
"""Seconds between two looks at a pod that is being deleted."""
STUCK_SECONDS = 120.0
"""Seconds for which the image or the container of a pod may be in error; Kubernetes tries again in between."""
SILENT_SECONDS = 1800.0
"""Seconds for which Kubernetes may not answer: the update of its servers takes less."""
_TIMEOUTS = (5.0, 10.0)
"""Seconds to connect, and to wait for an answer."""
_LOG_LINES, _LOG_BYTES = 200, 1 << 20
_STUCK = {
    "ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError",
    "CreateContainerConfigError", "CreateContainerError", "RunContainerError",
}  # fmt: skip
_NOT_STARTED = {"StartError", "ContainerCannotRun"}
_EVENTS = {"FailedMount", "FailedAttachVolume", "FailedCreatePodSandBox"}
"""Events that tell why a pod that has a node does not start; its state does not tell it."""
_TRY_AGAIN = {401, 408, 429}
"""Answers to a request that may be right a moment later."""
_FAULTS = (ApiException, ConfigException, HTTPError, OSError, ValueError)
_AGAIN = "materialize again to resume"


class Pod:
    """A pod that trains. The first `poll` makes it.

    Args:
        core: a `CoreV1Api`.
        body: a `V1Pod`.
    """

    def __init__(self, core: Any, body: Any) -> None:
        self._core, self._body = core, body
        self._name, self._namespace = body.metadata.name, body.metadata.namespace
        self._code: int | None = None
        self._errors: list[str] = []
        self._notices: list[str] = []
        self._said: set[str] = set()
        self._made = self._may_exist = self._container_ended = False
        self._next_look = 0.0
        self._silent_since: float | None = None
        self._stuck_since: float | None = None
        self._disruption = ""

    def __str__(self) -> str:
        return f"pod {self._namespace}/{self._name}"

    def poll(self) -> int | None:
        """Return the exit code of its container; None while it runs or waits, or Kubernetes does not answer."""
        if self._code is None and time.monotonic() >= self._next_look:
            self._next_look = time.monotonic() + POLL_SECONDS
            try:
                self._see(self._read() if self._made else self._make())
            except _FAULTS as error:
                self._fail(error)
        return self._code

    def notices(self) -> list[str]:
        """Return what Kubernetes has said about it since the last call, each reason once."""
        new, self._notices = self._notices, []
        return new

    def errors(self) -> list[str]:
        """Return the last lines that it wrote before it ended, and a line on why Kubernetes ended it."""
        return self._errors

    def stop(self, *, impatient: bool = False) -> None:
        """Delete the pod: SIGTERM, at which the trainer writes a checkpoint; at the end of its grace period SIGKILL.

        Args:
            impatient: kill it at once if this process gets another signal.
        """
        given_up = self._code is not None and self._silent_since is not None
        steps = [(GRACE_SECONDS, 0.0 if given_up else GRACE_SECONDS + EXTRA_SECONDS), (0, FORCED_SECONDS)]
        with received_signals() if impatient else nullcontext[list[int]]([]) as received:
            for grace, seconds in steps[:1] if given_up else steps:
                deadline, deleted = time.monotonic() + seconds, False
                while self._may_exist:
                    deleted = deleted or self._delete(grace)
                    if deleted and self._has_ended():
                        self._may_exist = False
                    elif time.monotonic() >= deadline or (received and grace):
                        break
                    else:
                        time.sleep(STOP_STEP)
        if self._may_exist and not given_up:
            logging.getLogger(__name__).warning(f"{self} may still train; `{self._by_hand}` ends it")
        self._may_exist = False
        self._end(-signal.SIGTERM)

    @property
    def _by_hand(self) -> str:
        return f"kubectl --namespace {self._namespace} delete pod {self._name}"

    def _make(self) -> Any:
        self._may_exist = True
        pod = self._core.create_namespaced_pod(self._namespace, self._body, _request_timeout=_TIMEOUTS)
        self._made = True
        return pod

    def _read(self) -> Any:
        return self._core.read_namespaced_pod(self._name, self._namespace, _request_timeout=_TIMEOUTS)

    def _delete(self, grace: int) -> bool:
        """Delete it; return whether Kubernetes will, or has."""
        try:
            self._core.delete_namespaced_pod(
                self._name, self._namespace, grace_period_seconds=grace, _request_timeout=_TIMEOUTS
            )
        except _FAULTS as error:
            return _status(error) == 404
        return True

    def _has_ended(self) -> bool:
        """Return whether no process of it is left, as far as Kubernetes says."""
        if not self._container_ended:
            try:
                self._see(self._read())
            except _FAULTS as error:
                return _status(error) == 404
        return self._container_ended

    def _fail(self, error: Exception) -> None:
        """Take note that a request failed."""
        status, why = _status(error), _reason(error)
        if self._made and status == 404:
            self._may_exist = False
            how = self._disruption or "somebody deleted it, or its node is gone"
            self._end(-signal.SIGKILL, f"{self} is gone ({how}): {_AGAIN}")
        elif not self._made and status == 409 and self._silent_since is not None:
            self._made = True  # by the request before, whose answer was lost
        elif not self._made and 400 <= status < 500 and status not in _TRY_AGAIN:
            self._may_exist = False
            self._end(1, f"Kubernetes refused {self} ({why})")
        elif self._silent_since is None:
            self._silent_since = time.monotonic()
            self._notices.append(f"Kubernetes does not answer ({why}): tried again for {_minutes()}")
        elif time.monotonic() - self._silent_since >= SILENT_SECONDS:
            self._end(
                -signal.SIGKILL,
                f"Kubernetes has not answered for {_minutes()} ({why}). {self} may still train; `{self._by_hand}` "
                f"ends it. Then {_AGAIN}",
            )

    def _see(self, pod: Any) -> None:
        """Take note of a state of the pod."""
        if self._silent_since is not None:
            self._silent_since = None
            self._notices.append("Kubernetes answers again")
        status = pod.status
        self._see_conditions(pod)
        state = next((container.state for container in status.container_statuses or ()), None)
        if state and state.terminated:
            self._container_ended = True
            code = state.terminated.exit_code
            self._end(128 - code if code - 128 in set(signal.Signals) else code, self._cause(status, state.terminated))
        elif status.phase == "Succeeded":
            self._container_ended = True
            self._end(0)
        elif status.phase == "Failed":  # evicted, for example; its container may be ending
            self._end(-signal.SIGKILL, self._cause(status, None))
        elif state and state.waiting and state.waiting.reason in _STUCK:
            self._see_stuck(state.waiting)
        else:
            self._stuck_since = None
            if status.phase == "Running":
                self._say("Running", f"on node {pod.spec.node_name}")
            elif pod.spec.node_name:
                self._read_events()

    def _see_conditions(self, pod: Any) -> None:
        for condition in pod.status.conditions or ():
            if condition.type == "PodScheduled" and condition.status == "False":
                self._say(condition.reason, condition.message)
            if condition.type == "DisruptionTarget" and condition.status == "True":
                self._disruption = _joined(condition.reason, condition.message)
                self._say(condition.reason, condition.message)
        if pod.metadata.deletion_timestamp and not self._disruption:
            self._disruption = "somebody deleted it"

    def _see_stuck(self, waiting: Any) -> None:
        self._say(waiting.reason, waiting.message)
        self._stuck_since = time.monotonic() if self._stuck_since is None else self._stuck_since
        if time.monotonic() - self._stuck_since >= STUCK_SECONDS:
            self._end(1, f"{self} does not start ({_joined(waiting.reason, waiting.message)}): check the option image")

    def _read_events(self) -> None:
        try:
            events = self._core.list_namespaced_event(
                self._namespace, field_selector=f"involvedObject.name={self._name}", _request_timeout=_TIMEOUTS
            )
        except _FAULTS:
            return  # it is no more than a hint, and may be forbidden
        for event in events.items:
            if event.reason in _EVENTS:
                self._say(event.reason, event.message)

    def _say(self, reason: str | None, message: str | None) -> None:
        if str(reason) not in self._said:
            self._said.add(str(reason))
            self._notices.append(f"{self}: {_joined(reason, message)}")

    def _cause(self, status: Any, terminated: Any) -> str | None:
        """Return why the pod ended, for a person; None if its trainer ended by itself."""
        if terminated and terminated.exit_code == 0:
            return None
        if status.reason == "DeadlineExceeded":
            return f"{self} was ended after its option time: {_AGAIN}"
        if status.reason or self._disruption:
            return f"{self} was ended ({_joined(status.reason, status.message) or self._disruption}): {_AGAIN}"
        if terminated is None:
            return f"{self} failed: {_AGAIN}"
        if terminated.reason == "OOMKilled":
            return f"{self} ran out of memory (OOMKilled): raise its option memory, or set accumulation; then {_AGAIN}"
        if terminated.reason in _NOT_STARTED:
            return f"{self} cannot start ({_joined(terminated.reason, terminated.message)}): check the option image"
        return None

    def _end(self, code: int, cause: str | None = None) -> None:
        """Keep the exit code and the log, unless they are known; the pod is deleted later."""
        if self._code is None:
            self._errors = [*self._log(), *([f"error: {cause}"] if cause else [])]
            self._code = code

    def _log(self) -> list[str]:
        """Return the last lines that the container wrote; none if they cannot be read."""
        if not self._container_ended:
            return []
        try:
            answer = self._core.read_namespaced_pod_log(
                self._name, self._namespace, tail_lines=_LOG_LINES, limit_bytes=_LOG_BYTES,
                _preload_content=False, _request_timeout=_TIMEOUTS,
            )  # fmt: skip
        except _FAULTS:
            return []
        lines: list[str] = answer.data.decode(errors="replace").splitlines()
        return lines


def _minutes() -> str:
    return f"{SILENT_SECONDS / 60:.0f} minutes"


def _joined(reason: str | None, message: str | None) -> str:
    return one_line(": ".join(filter(None, (reason, message))))


def _status(error: Exception) -> int:
    """Return the status of an answer; 0 if there was none."""
    return (error.status or 0) if isinstance(error, ApiException) else 0


def _reason(error: Exception) -> str:
    """Return why a request failed: as Kubernetes says, or the network."""
    if not isinstance(error, ApiException):
        return one_line(getattr(error, "reason", None) or error)
    try:
        said = json.loads(error.body or "")["message"]
    except (ValueError, TypeError, KeyError):
        said = error.reason
    return one_line(f"{error.status}: {said}" if error.status else said)
