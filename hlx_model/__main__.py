"""`python -m hlx_model`: the command `hlx`, where its folder of programs is not on the path."""

from hlx_model.cli import app

if __name__ == "__main__":
    app()
