"""How every command line program of hlx ends: with exit code 0, 1 or 2, and a user's error in one line."""

import logging
import sys
from typing import Any

import typer

from hlx_model.shown import is_utf8, one_line, show_lines


class _Formatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return show_lines(super().format(record))


UsageError: type[Exception] = typer.BadParameter.__base__  # type: ignore[assignment]
"""What typer raises if it does not understand a command line; it publishes no name for it."""


def run(application: typer.Typer) -> None:
    """Run a typer application and exit. A user's error is one line on standard error, with exit code 1."""
    handler = logging.StreamHandler()
    handler.setFormatter(_Formatter("%(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    try:
        for number, argument in enumerate(sys.argv):
            if not is_utf8(argument):
                raise ValueError(f"argument {number}, {argument}, is not UTF-8: give it in UTF-8, or rename the file")
        sys.exit(application(standalone_mode=False))
    except UsageError as error:
        # Typer ends with 2, and prints a box; in hlx 2 is a command's warning.
        sys.exit(_not_understood(error))
    except (ValueError, OSError, RuntimeError) as error:
        sys.exit(f"error: {one_line(error)}")


def _not_understood(error: Any) -> str | int:
    """Return the line on what is wrong with a command line; if it is empty, print the help and return 1."""
    if type(error).__name__ == "NoArgsIsHelpError":
        typer.echo(error.ctx.get_help())
        return 1
    path = error.ctx.command_path if error.ctx else "hlx"
    return f"error: {one_line(error.format_message()).rstrip('.')}: see `{path} -h`"
