"""How every command line program of hlx ends: with exit code 0, 1 or 2, and a user's error in one line."""

import logging
import sys
from collections.abc import Callable
from typing import Any

import typer


def run(command: Callable[..., Any]) -> None:
    """Run a typer command or application. A user's error is one line on standard error, with exit code 1."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        command()
    except SystemExit as end:
        # Typer ends with 2 if it does not understand a command line; in hlx 2 is a command's warning.
        not_understood = end.code == 2 and not isinstance(end.__context__, typer.Exit)
        raise SystemExit(1 if not_understood else end.code) from None
    except (ValueError, OSError, RuntimeError) as error:
        sys.exit(f"error: {' '.join(str(error).split())}")
