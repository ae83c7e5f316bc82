"""`make curriculum`: the whole graph without a daemon: a plan at the beginning, a table at the end.

python -m hlx_assets.curriculum [--config run.yaml] [--yes]
"""

import argparse
import sys
from pathlib import Path

from hlx_assets.home import open_home

INTERRUPTED = 130


def main() -> int:
    """Materialize everything; return 0 if every phase passed, 1 if a gate or an error stopped it, 130 after Ctrl-C."""
    parser = argparse.ArgumentParser(prog="make curriculum", description="Run the whole curriculum.")
    parser.add_argument("--config", type=Path, help="Dagster run configuration (YAML), as in the launchpad")
    parser.add_argument("--yes", action="store_true", help="train a large model on a CPU without a question")
    arguments = parser.parse_args()
    try:
        with open_home() as instance:
            # The graph is loaded after the settings are checked: it cannot be if one of them is not valid.
            from hlx_assets.curriculum.run import run_curriculum

            return run_curriculum(instance, arguments.config, confirmed=arguments.yes)
    except KeyboardInterrupt:
        sys.stderr.write("interrupted: the same command continues\n")
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
