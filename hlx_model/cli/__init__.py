"""The command `hlx`: convert, corpus, train, validate, translate, status, watchdog, lineage, history, export, clean.

Only the command that is called is loaded: loading PyTorch takes longer than most commands.
"""

import sys
from importlib import import_module
from typing import Any

import typer

from hlx_model.cli.run import run

COMMANDS = {
    "convert": "hlx_model.cli.convert:convert_command",
    "corpus": "hlx_model.cli.corpus:corpus_app",
    "train": "hlx_model.cli.train:train_command",
    "validate": "hlx_model.cli.validate:validate_command",
    "translate": "hlx_model.cli.translate:translate_command",
    "status": "hlx_model.cli.status:status_command",
    "watchdog": "hlx_model.cli.watchdog:watchdog_app",
    "lineage": "hlx_model.cli.lineage:lineage_app",
    "history": "hlx_model.cli.history:history_app",
    "export": "hlx_model.cli.export:export_command",
    "clean": "hlx_model.cli.clean:clean_command",
}
"""By name the place of each command: a function, or an application with commands of its own."""


def application(*names: str) -> typer.Typer:
    """Return the application with the commands of these names."""
    application = typer.Typer(
        name="hlx",
        help="The HLX Brain: its language, corpora, training, quality gates and lineage.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    application.callback()(_group)
    for name in names:
        module, _, member = COMMANDS[name].partition(":")
        command: Any = getattr(import_module(module), member)
        if isinstance(command, typer.Typer):
            application.add_typer(command, name=name)
        else:
            # `-100` is HLX, not an option.
            application.command(name, context_settings={"ignore_unknown_options": name == "convert"})(command)
    return application


def _group() -> None:
    # With a callback, an application with one command still requires the command's name.
    pass


def app() -> None:
    """Run `hlx`. Every user's error is one line, with exit code 1."""
    called = [name for name in sys.argv[1:2] if name in COMMANDS]
    run(application(*(called or COMMANDS)))
