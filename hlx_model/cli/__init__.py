"""The command `hlx`. Each module of this package is a command of its name, but for those that commands share.

A command `name` is the function `name_command` or the typer application `name_app` of its module. Only the command that
is called is loaded: loading PyTorch takes longer than most commands.
"""

import sys
from collections.abc import Iterable
from importlib import import_module
from pkgutil import iter_modules

import typer

from hlx_model.cli.run import run

COMMANDS = [module.name for module in iter_modules(__path__) if module.name not in ("options", "run", "show")]


def application(names: Iterable[str]) -> typer.Typer:
    """Return the application with the commands of these names."""
    application = typer.Typer(
        name="hlx", help="The HLX Brain: its language, corpora, training, quality gates and lineage.",
        no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False,
    )  # fmt: skip
    # With a callback, an application with one command still requires the command's name.
    application.callback()(lambda: None)
    for name in names:
        module = import_module(f"{__name__}.{name}")
        if hasattr(module, f"{name}_app"):
            application.add_typer(getattr(module, f"{name}_app"), name=name)
        else:
            # `-100` is HLX, not an option.
            settings = {"ignore_unknown_options": name == "convert"}
            application.command(name, context_settings=settings)(getattr(module, f"{name}_command"))
    return application


def app() -> None:
    """Run `hlx`. Every user's error is one line, with exit code 1."""
    run(application([name for name in COMMANDS if name in sys.argv[1:2]] or COMMANDS))
