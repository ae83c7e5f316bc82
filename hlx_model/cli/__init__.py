"""The command `hlx`. Each module of this package is a command of its name, but for those that commands share.

A command `name` is the function `name_command` or the typer application `name_app` of its module. Only the command that
is called is loaded: loading PyTorch takes longer than most commands.
"""

import sys
from collections.abc import Iterable
from importlib import import_module
from pkgutil import iter_modules
from typing import Annotated

import typer

from hlx_model import __version__
from hlx_model.cli.run import run

COMMANDS = [module.name for module in iter_modules(__path__) if module.name not in ("options", "run", "show")]


def application(names: Iterable[str]) -> typer.Typer:
    """Return the application with the commands of these names."""
    application = typer.Typer(
        name="hlx", help="The HLX Brain: its language, corpora, training, quality gates and lineage.",
        no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
    )  # fmt: skip
    # With a callback, an application with one command still requires the command's name.
    application.callback()(_common)
    for name in names:
        module = import_module(f"{__name__}.{name}")
        if hasattr(module, f"{name}_app"):
            application.add_typer(getattr(module, f"{name}_app"), name=name)
        else:
            # `-100` is HLX, not an option.
            settings = {"ignore_unknown_options": name == "convert"}
            application.command(name, context_settings=settings)(getattr(module, f"{name}_command"))
    return application


def _show_version(asked: bool) -> None:
    if asked:
        typer.echo(f"hlx {__version__}")
        raise typer.Exit


def _common(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    pass


def app() -> None:
    """Run `hlx`. Every user's error is one line, with exit code 1."""
    asked = sys.argv[1:2]
    run(application([name for name in COMMANDS if name in asked] or (() if asked == ["--version"] else COMMANDS)))
