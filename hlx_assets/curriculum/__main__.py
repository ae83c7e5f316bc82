"""`make curriculum`: the whole graph without a daemon, and a table at the end.

python -m hlx_assets.curriculum [--config run.yaml]
"""

import argparse
import sys
from pathlib import Path

from hlx_assets.home import open_home


def main() -> int:
    """Materialize everything; return 0 if every phase passed, 1 if a gate or an error stopped the run."""
    parser = argparse.ArgumentParser(prog="make curriculum", description="Run the whole curriculum.")
    parser.add_argument("--config", type=Path, help="Dagster run configuration (YAML), as in the launchpad")
    arguments = parser.parse_args()
    with open_home() as instance:
        # The graph is loaded after the settings are checked: it cannot be if one of them is not valid.
        from hlx_assets.curriculum.run import run_curriculum

        return run_curriculum(instance, arguments.config)


if __name__ == "__main__":
    sys.exit(main())
