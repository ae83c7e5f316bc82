"""A program that only waits: `python -m tests.support.sleeper`."""

import time

if __name__ == "__main__":
    time.sleep(600)
