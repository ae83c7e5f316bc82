"""`python -m hlx_assets.curriculum`: see `run.py`."""

import sys

from hlx_assets import settings

if __name__ == "__main__":
    try:
        settings.check()
    except ValueError as error:
        sys.exit(f"error: {error}")
    from hlx_assets.curriculum.run import main  # it loads the graph, which cannot be where a setting is wrong

    sys.exit(main())
