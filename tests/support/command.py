"""The command `hlx`, and other programs, run in the process of a test."""

import sys
from collections.abc import Callable
from dataclasses import dataclass

import pytest


@dataclass(frozen=True)
class Ran:
    """How a command ended and what it wrote."""

    code: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """The one line that says what is wrong."""
        (line,) = [line for line in self.err.splitlines() if line.startswith("error:")]
        return line


Hlx = Callable[..., Ran]


def runner(
    main: Callable[[], object], program: str, patch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Hlx:
    """Return a function that calls a program's `main` with arguments, which must exit."""

    def run(*arguments: object) -> Ran:
        patch.setattr(sys, "argv", [program, *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capsys.readouterr()
        if isinstance(ended.value.code, str):  # what the interpreter prints when it ends
            return Ran(1, out, f"{err}{ended.value.code}\n")
        return Ran(ended.value.code or 0, out, err)

    return run
