"""`python -m hlx_model.training --phase 1 --corpus corpus.md`: the same as `hlx train`.

The one module of this package that imports the command line.
"""

import typer

from hlx_model.cli.run import run
from hlx_model.cli.train import train_command

if __name__ == "__main__":
    application = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    application.command()(train_command)
    run(application)
