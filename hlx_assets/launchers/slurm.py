"""Trainings as jobs of Slurm: `srun` is the child, and stays until the job has ended.

The job needs the same Python at the same path, and DAGSTER_HOME and the temporary folder on a disk that it shares with
this machine. https://slurm.schedmd.com/srun.html, https://slurm.schedmd.com/scancel.html.
"""

import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import IO, Annotated, ClassVar

from pydantic import Field

from hlx_assets.launchers.child import ChildProcess
from hlx_assets.launchers.launcher import Cluster, Trainer

GRACES = {signal.SIGINT: 60.0, signal.SIGTERM: 60.0, signal.SIGKILL: 10.0}
"""Seconds after each signal. After the second one Slurm itself waits `KillWait`, 30 seconds, and kills the job."""
_ANSWER_SECONDS = 30.0
_SAYS = "srun: "
_WRONG = re.compile(r"(srun|slurmstepd\S*): error: ")
_Name = Annotated[str | None, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.,+-]*$", description="a name in Slurm")]
_Time = Annotated[
    str | None,
    Field(
        pattern=r"^(\d+-\d{1,2}(:\d{1,2}){0,2}|\d+(:\d{1,2}){0,2})$",
        description="a time of Slurm, such as 90 (minutes), 12:00:00 or 2-00:00:00 (days)",
    ),
]


class Slurm(Cluster):
    """A job of Slurm on one node."""

    name: ClassVar[str] = "slurm"
    partition: _Name = None
    account: _Name = None
    time: _Time = None
    """After which Slurm ends the job. Materialized again, the training resumes."""

    def require(self) -> None:
        """Require `srun` and `scancel`."""
        if missing := [program for program in ("srun", "scancel") if shutil.which(program) is None]:
            raise ValueError(
                f"the trainer is {self}, and {' and '.join(missing)} cannot be found: install Slurm's client"
            )

    @contextmanager
    def start(self, arguments: Sequence[str], environment: Mapping[str, str], name: str) -> Iterator[Trainer]:
        """Start a trainer (`Launcher.start`)."""
        command = ["srun", *self.options(name), sys.executable, *self.module, *arguments]
        with tempfile.TemporaryFile() as errors:
            yield _Job(name, command, {**environment, **self.threads}, errors)

    def options(self, name: str) -> list[str]:
        """Return the options of `srun` for a job of this name."""
        given = {
            "partition": self.partition, "account": self.account, "time": self.time, "gpus": self.gpus,
            "cpus-per-task": self.all_cpus,
        }  # fmt: skip
        found = [f"--{option}={value}" for option, value in given.items() if value is not None]
        return [f"--job-name={name}", "--nodes=1", "--ntasks=1", *found]


class _Job(ChildProcess):
    """A job, and the `srun` that waits for it."""

    def __init__(self, name: str, command: Sequence[str], environment: Mapping[str, str], errors: IO[bytes]) -> None:
        # At SIGTERM srun itself ends its job; after SIGKILL Slurm has to notice.
        super().__init__(command, environment, errors, dies_by=signal.SIGTERM)
        self._name, self._seen = name, 0

    def __str__(self) -> str:
        return f"Slurm's job {self._name}, and srun is process {self.process.pid}"

    def notices(self) -> list[str]:
        """Return what srun has said since the last call, for example what its job waits for."""
        lines = [line for line in super().errors() if line.startswith(_SAYS)]
        new, self._seen = lines[self._seen :], len(lines)
        return new

    def errors(self) -> list[str]:
        """Return the trainer's lines of standard error, and last in one line what Slurm's programs call an error."""
        lines = super().errors()
        # Their order is another one each time, and some are written twice.
        wrong = dict.fromkeys(line for line in lines if _WRONG.match(line))
        own = [line for line in lines if line not in wrong and not line.startswith(_SAYS)]
        return [*own, "; ".join(wrong)] if wrong else own

    def send(self, signum: signal.Signals) -> None:
        """Send a signal to the job's processes; a job that waits is cancelled. SIGKILL is for srun too."""
        if signum == signal.SIGINT:
            self._scancel("--state=PENDING")
            self._scancel("--signal=INT")
        else:
            self._scancel()
        if signum == signal.SIGKILL:
            super().send(signum)

    def stop(self, *, impatient: bool = False, graces: Mapping[signal.Signals, float] = GRACES) -> None:
        """End the job: let it write a checkpoint, cancel it, then kill `srun`."""
        super().stop(impatient=impatient, graces=graces)

    def _scancel(self, *options: str) -> None:
        # If Slurm does not answer, the next signal of `stop` tries again, and the last one ends srun.
        with suppress(subprocess.TimeoutExpired):
            command = ["scancel", "--me", f"--name={self._name}", *options]
            subprocess.run(command, capture_output=True, check=False, timeout=_ANSWER_SECONDS)
