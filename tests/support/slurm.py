"""A real Slurm on this machine: munged, slurmctld and slurmd, without systemd, in a folder of the test."""

import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from hlx_assets.ui import free_port
from tests.support.programs import program
from tests.support.waiting import wait_for

CONFIGURATION = """\
ClusterName=hlx
SlurmctldHost={host}(127.0.0.1)
AuthInfo=socket={folder}/munge/socket
SlurmUser=root
SlurmdUser=root
SlurmctldPort={controller}
SlurmdPort={daemon}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
ReturnToService=2
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
KillWait=10
NodeName={host} NodeAddr=127.0.0.1 CPUs=2 State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE OverTimeLimit=0 State=UP
"""


@dataclass(frozen=True)
class Cluster:
    """A cluster of one node with two CPUs; programs find it by `environment`."""

    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        """The variables by which Slurm's programs find it."""
        return {"SLURM_CONF": str(self.folder / "slurm.conf")}

    def run(self, *command: str) -> str:
        """What a program of Slurm prints."""
        # With DAGSTER_HOME the daemons would end with the processes of a home.
        environment = {name: value for name, value in os.environ.items() if name != "DAGSTER_HOME"} | self.environment
        return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout.strip()

    @property
    def jobs(self) -> list[str]:
        """The states of the jobs that have not ended, such as RUNNING and PENDING."""
        return self.run("squeue", "--noheader", "--format=%T").split()

    @property
    def names(self) -> list[str]:
        """The names of the jobs that run."""
        return self.run("squeue", "--noheader", "--format=%j", "--states=RUNNING").split()

    def set_node(self, **state: str) -> None:
        """Set the state of the node."""
        self.run("scontrol", "update", f"NodeName={platform.node()}", *(f"{name}={to}" for name, to in state.items()))


@contextmanager
def slurm() -> Iterator[Cluster]:
    """Run a cluster while the block runs; skip the test if Slurm is not installed or this is not root."""
    for name in ("srun", "slurmctld", "slurmd", "munged"):
        program(name)
    if os.geteuid() != 0:
        pytest.skip("only root can run slurmd")
    folder = Path(tempfile.mkdtemp(prefix="slurm-"))  # a socket needs a short path
    for name in ("munge", "state", "spool"):
        (folder / name).mkdir(mode=0o711)
    key = folder / "munge" / "key"
    key.touch(mode=0o600)
    key.write_bytes(os.urandom(1024))
    # Until the daemons listen, a port that was found may be found again.
    controller = free_port(0)
    daemon = next(port for port in iter(lambda: free_port(0), None) if port != controller)
    found = CONFIGURATION.format(folder=folder, host=platform.node(), controller=controller, daemon=daemon)
    (folder / "slurm.conf").write_text(found, encoding="utf-8")
    cluster = Cluster(folder)
    try:
        munge = {name: f"{folder}/munge/{name}" for name in ("socket", "pid-file", "log-file", "seed-file")}
        options = [f"--{name}={path}" for name, path in munge.items()]
        cluster.run(program("munged"), "--force", f"--key-file={key}", *options)
        cluster.run(program("slurmctld"))
        cluster.run(program("slurmd"))
        wait_for(lambda: "idle" in cluster.run("sinfo", "--noheader", "--format=%T"), "for Slurm")
        yield cluster
    finally:
        _end(folder)
        shutil.rmtree(folder, ignore_errors=True)


def _end(folder: Path) -> None:
    """End the daemons of a folder."""
    for name in ("slurmd.pid", "slurmctld.pid", "munge/pid-file"):
        with suppress(OSError, ValueError, psutil.Error):
            process = psutil.Process(int((folder / name).read_text()))
            process.terminate()
            process.wait(20)
