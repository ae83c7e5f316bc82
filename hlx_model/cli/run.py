"""How every command line program of hlx ends: with exit code 0, 1 or 2, and a user's error in one line."""

import logging
import sys
from collections.abc import Callable
from typing import Any

import typer

from hlx_model.shown import is_utf8, one_line, show_lines


class _Formatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return show_lines(super().format(record))


def run(command: Callable[..., Any]) -> None:
    """Run a typer command or application. A user's error is one line on standard error, with exit code 1."""
    handler = logging.StreamHandler()
    handler.setFormatter(_Formatter("%(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    try:
        for number, argument in enumerate(sys.argv):
            if not is_utf8(argument):
                raise ValueError(f"argument {number}, {argument}, is not UTF-8: rename the file")
        command()
    except SystemExit as end:
        # Typer ends with 2 if it does not understand a command line; in hlx 2 is a command's warning.
        not_understood = end.code == 2 and not isinstance(end.__context__, typer.Exit)
        raise SystemExit(1 if not_understood else end.code) from None
    except (ValueError, OSError, RuntimeError) as error:
        sys.exit(f"error: {one_line(error)}")
