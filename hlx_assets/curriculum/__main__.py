"""`python -m hlx_assets.curriculum`: see `run.py`."""

import sys

from hlx_assets.curriculum.run import main

if __name__ == "__main__":
    sys.exit(main())
