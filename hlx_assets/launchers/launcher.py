"""A launcher starts `python -m hlx_model.training …` somewhere, and ends it."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Annotated, ClassVar, Protocol

from pydantic import BaseModel, ConfigDict, Field

TRAINER = "hlx_model.training"

_NUMBER = Field(ge=1, le=1_000_000, description="a whole number above 0")
Number = Annotated[int, _NUMBER]
OptionalNumber = Annotated[int | None, _NUMBER]
Slots = Annotated[int | None, Field(ge=1, le=1_000, description="a whole number from 1 to 1000")]
"""As many slots as a pool of Dagster may have."""


class Trainer(Protocol):
    """A trainer that was started."""

    def __str__(self) -> str:
        """Return where it is, such as `process 123`."""

    def poll(self) -> int | None:
        """Return its exit code, below 0 if a signal ended it; None while it runs, or waits for its place."""

    def notices(self) -> list[str]:
        """Return what its launcher has said since the last call, in lines for a person."""

    def errors(self) -> list[str]:
        """Return the lines that it has written to standard error so far."""

    def stop(self, *, impatient: bool = False) -> None:
        """End it and all its processes: let it write a checkpoint, then terminate it, then kill it.

        Args:
            impatient: kill it at once if this process gets another signal.
        """


class Launcher(BaseModel, ABC):
    """A place for trainings, and its options."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    name: ClassVar[str]
    elsewhere: ClassVar[bool] = False
    """Whether trainings run on other machines, whose memory and speed are not known here."""

    @property
    def max_concurrent(self) -> int | None:
        """Return how many trainings may run at the same time; None if the setting does not say."""
        return None

    def require(self) -> None:
        """Require what the launcher needs on this machine; `ValueError` says what is missing."""

    @abstractmethod
    def start(
        self, arguments: Sequence[str], environment: Mapping[str, str], name: str
    ) -> AbstractContextManager[Trainer]:
        """Start a trainer, which has ended when the block is left.

        Args:
            arguments: of `python -m hlx_model.training`.
            environment: variables beside those of this process.
            name: of the training for its launcher; no other one that runs has it.

        Raises:
            ValueError: it cannot be started here; one line that says why.
        """

    def __str__(self) -> str:
        """Return it as `HLX_TRAINER` names it."""
        given = self.model_dump(exclude_none=True, exclude_defaults=True)
        return " ".join([self.name, *(f"{name}={value}" for name, value in given.items())])


class Cluster(Launcher):
    """Machines of a cluster, each of which may train one model with several processes."""

    elsewhere: ClassVar[bool] = True
    gpus: OptionalNumber = None
    cpus: OptionalNumber = None
    """CPUs, and threads of PyTorch, of each process."""
    processes: OptionalNumber = None
    """Processes that train together; by default one for each GPU."""
    trainings: Slots = None
    """Trainings that may run at the same time."""

    @property
    def max_concurrent(self) -> int | None:
        """Return how many trainings may run at the same time."""
        return self.trainings

    @property
    def ranks(self) -> int:
        """Return the number of processes."""
        return self.processes or self.gpus or 1

    @property
    def all_cpus(self) -> int | None:
        """Return the CPUs of all processes together; None if they are not given."""
        return None if self.cpus is None else self.cpus * self.ranks

    @property
    def threads(self) -> dict[str, str]:
        """Return the variable that sets the threads of each process."""
        return {} if self.cpus is None else {"OMP_NUM_THREADS": str(self.cpus)}

    @property
    def module(self) -> list[str]:
        """Return the arguments of Python that name the trainer, by torchrun if it is several processes."""
        return ["-m", TRAINER] if self.ranks == 1 else torchrun(self.ranks)


def torchrun(processes: int) -> list[str]:
    """Return the arguments of Python that let several processes of one machine train together."""
    return ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}", "-m", TRAINER]
