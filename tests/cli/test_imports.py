"""Commands that compute nothing start fast: without PyTorch and Dagster."""

import subprocess
import sys

PROGRAM = """
import sys
import hlx_model.cli.clean, hlx_model.cli.corpus, hlx_model.cli.doctor, hlx_model.cli.history
assert not {"torch", "dagster"} & set(sys.modules)
"""


def test_commands_that_compute_nothing_do_not_load_pytorch() -> None:
    ran = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
