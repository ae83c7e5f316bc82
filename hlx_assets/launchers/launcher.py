"""A launcher starts `python -m hlx_model.training …` somewhere, and ends it."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Annotated, ClassVar, Protocol

from pydantic import BaseModel, ConfigDict, Field

_NUMBER = Field(ge=1, le=1_000_000, description="a whole number above 0")
Number = Annotated[int, _NUMBER]
OptionalNumber = Annotated[int | None, _NUMBER]


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


class Launcher(BaseModel):
    """A place for trainings, and its options."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    name: ClassVar[str]
    elsewhere: ClassVar[bool] = False
    """Whether trainings run on other machines, whose memory and speed are not known here."""

    def require(self) -> None:
        """Require what the launcher needs on this machine; `ValueError` says what is missing."""

    @contextmanager
    def start(self, arguments: Sequence[str], environment: Mapping[str, str], name: str) -> Iterator[Trainer]:
        """Start a trainer, which has ended when the block is left.

        Args:
            arguments: of `python -m hlx_model.training`.
            environment: variables beside those of this process.
            name: of the training for its launcher; no other one that runs has it.
        """
        raise NotImplementedError

    def __str__(self) -> str:
        """Return it as `HLX_TRAINER` names it."""
        given = self.model_dump(exclude_none=True, exclude_defaults=True)
        return " ".join([self.name, *(f"{name}={value}" for name, value in given.items())])
