"""The command `hlx`: convert, corpus, train, validate, translate, status, watchdog, lineage, history, export, clean.

Only what is asked for is loaded: PyTorch alone takes longer than to look something up.
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
"""By name, where each command is: a function, or an application with commands of its own."""


def application(*names: str) -> typer.Typer:
    """The commands of these names."""
    made = typer.Typer(
        name="hlx",
        help="The HLX Brain: its language, corpora, training, quality gates and lineage.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    made.callback()(_group)
    for name in names:
        module, _, member = COMMANDS[name].partition(":")
        command: Any = getattr(import_module(module), member)
        if isinstance(command, typer.Typer):
            made.add_typer(command, name=name)
        else:
            # `-100` is HLX, not an option.
            made.command(name, context_settings={"ignore_unknown_options": name == "convert"})(command)
    return made


def _group() -> None:
    # With a callback an application of one command still wants the command's name.
    pass


def app() -> None:
    """Run `hlx`: every user's error is one line, exit code 1."""
    asked = [name for name in sys.argv[1:2] if name in COMMANDS]
    run(application(*(asked or COMMANDS)))
