"""A record of a process counts only if this machine's process table can tell about it."""

import os
import platform
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from hlx_model.runs import processes
from hlx_model.runs.heartbeat import Heartbeat
from hlx_model.runs.processes import ProcessRef, process_identity

SLEEP = [sys.executable, "-c", "import time; time.sleep(600)"]
IN_ITS_NAMESPACE = "from hlx_model.runs.processes import ProcessRef; import os, time; r = ProcessRef.of(os.getpid())\n"
IN_ITS_NAMESPACE += "print(r.host, r.pid, r.identity, flush=True); time.sleep(600)"


@pytest.fixture
def process() -> Iterator["subprocess.Popen[bytes]"]:
    """A process of this machine, in a group of its own."""
    with subprocess.Popen(SLEEP, start_new_session=True) as running:
        yield running
        running.kill()


def with_part(ref: ProcessRef, part: int, value: str) -> ProcessRef:
    assert ref.identity is not None
    parts = ref.identity.split(":")
    parts[part] = value
    return replace(ref, identity=":".join(parts))


ELSEWHERE = {
    "another host": lambda ref: replace(ref, host="another-machine"),
    "no host": lambda ref: replace(ref, host=None),
    "another machine": lambda ref: with_part(ref, 0, "0" * 12),
    "another boot in a container": lambda ref: with_part(with_part(ref, 1, "another-boot"), 2, "4026539999"),
    "another pid namespace": lambda ref: with_part(ref, 2, "4026539999"),
    "an older record": lambda ref: replace(ref, identity="boot:1234"),
    "no record": lambda ref: replace(ref, identity=None),
    "a damaged record": lambda ref: replace(ref, identity=":::"),
    "a record of another type": lambda ref: replace(ref, identity=5),
}


def test_a_process_of_this_machine_is_running_until_it_has_ended(process: "subprocess.Popen[bytes]") -> None:
    ref = ProcessRef.of(process.pid)
    assert (ref.is_local, ref.is_running, ref.is_gone) == (True, True, False)
    assert ref.kill() and process.wait(10) == -signal.SIGKILL
    assert (ref.is_running, ref.is_gone, ref.kill()) == (False, True, False)


def test_a_zombie_process_is_gone() -> None:
    with subprocess.Popen(SLEEP) as zombie:
        ref = ProcessRef.of(zombie.pid)
        zombie.kill()
        os.waitid(os.P_PID, zombie.pid, os.WEXITED | os.WNOWAIT)
        assert ref.is_gone and not ref.is_running


def test_a_later_process_of_the_same_number_is_another(process: "subprocess.Popen[bytes]") -> None:
    earlier = with_part(ProcessRef.of(process.pid), 3, "1")
    assert earlier.is_gone and not earlier.is_running and not earlier.kill(group=True)
    assert process.poll() is None


@pytest.mark.parametrize("change", ELSEWHERE.values(), ids=ELSEWHERE)
@pytest.mark.parametrize("ended", [False, True], ids=["same number here", "no such number here"])
def test_a_process_elsewhere_is_neither_running_nor_gone_nor_killed(
    process: "subprocess.Popen[bytes]", change: "type[ProcessRef]", ended: bool
) -> None:
    ref: ProcessRef = change(ProcessRef.of(process.pid))  # type: ignore[arg-type,call-arg]
    if ended:
        ref = replace(ref, pid=2**22)
    assert not ref.is_local and not ref.is_running and not ref.is_gone
    assert not ref.kill() and not ref.kill(group=True)
    assert process.poll() is None
    assert str(ref.host or "an unknown host") in str(ref)
    if isinstance(ref.identity, str | None):  # a heartbeat refuses any other type
        assert Heartbeat("0" * 16, 1, "tiny", 1, host=ref.host, pid=ref.pid, process=ref.identity).alive


@pytest.mark.parametrize("pid", [1, 0, -1, -2, True, "12", None, 1.0, 2**22 + 1, 2**31, 10**30])
def test_a_pid_that_cannot_be_a_trainer_is_never_signalled(pid: object, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object) -> None:
        raise AssertionError(f"signalled: {arguments}")

    monkeypatch.setattr(os, "kill", refuse)
    monkeypatch.setattr(os, "killpg", refuse)
    ref = ProcessRef(platform.node(), pid, process_identity())  # type: ignore[arg-type]
    assert not ref.is_running and not ref.is_gone and not ref.kill() and not ref.kill(group=True)


def test_only_the_leader_of_a_group_ends_the_group() -> None:
    script = (
        "import subprocess, sys, time; p = subprocess.Popen(sys.argv[1:]); print(p.pid, flush=True); time.sleep(600)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, *SLEEP], stdout=subprocess.PIPE, start_new_session=True
    ) as leader:
        assert leader.stdout is not None
        member = ProcessRef.of(int(leader.stdout.readline()))
        # The number of a member is not that of its group.
        assert member.kill(group=True) and leader.poll() is None
        assert ProcessRef.of(leader.pid).kill(group=True) and leader.wait(10) == -signal.SIGKILL


RESTARTED = {
    "this machine": ("abc", "abc", "4026531836", "4026531836", True),
    "another machine of the same name": ("abc", "def", "4026531836", "4026531836", False),
    "machines without an id": ("", "", "4026531836", "4026531836", False),
    "a container before": ("abc", "abc", "4026539999", "4026531836", False),
    "a container now": ("abc", "abc", "4026531836", "4026539999", False),
}


@pytest.mark.parametrize(("there", "here", "namespace", "now", "gone"), RESTARTED.values(), ids=RESTARTED)
def test_a_restart_ends_what_ran_on_the_machine_itself(
    monkeypatch: pytest.MonkeyPatch, there: str, here: str, namespace: str, now: str, gone: bool
) -> None:
    monkeypatch.setattr(processes, "process_identity", lambda pid=None: f"{here}:second-boot:{now}:70")
    ref = ProcessRef(platform.node(), 4711, f"{there}:first-boot:{namespace}:70")
    assert ref.is_gone is gone and not ref.is_running and not ref.kill()


@pytest.mark.parametrize("options", [("--pid", "--fork", "--mount-proc"), ("--pid", "--fork")], ids=" ".join)
def test_a_process_in_a_container_on_this_host_is_neither_gone_nor_killed(options: tuple[str, ...]) -> None:
    if shutil.which("unshare") is None:
        pytest.skip("unshare (util-linux) is missing")
    started = subprocess.Popen(
        ["unshare", *options, sys.executable, "-c", IN_ITS_NAMESPACE],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True,
        cwd=Path(processes.__file__).parents[1],
    )  # fmt: skip
    assert started.stdout is not None
    line = started.stdout.readline().split()
    if not line:
        started.communicate()
        pytest.skip("this user may not make a pid namespace")
    try:
        host, pid, identity = line
        ref = ProcessRef(host, int(pid), None if identity == "None" else identity)
        assert host == platform.node() and int(pid) < 10
        assert not ref.is_local and not ref.is_gone and not ref.kill(group=True)
        assert started.poll() is None
    finally:
        os.killpg(started.pid, signal.SIGKILL)
        started.communicate()
