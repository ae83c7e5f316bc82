"""What every asset of the graph shares: owners, groups, and how a user's error is told."""

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

OWNERS = ["team:hlx"]
CORPUS_GROUP, CURRICULUM_GROUP, VALIDATION_GROUP = "corpus", "curriculum", "validation"


@contextmanager
def user_errors() -> Iterator[None]:
    """A `ValueError` of `hlx_model` (bad input: one line that says what to do) ends the step without retries."""
    try:
        yield
    except ValueError as error:
        raise dg.Failure(" ".join(str(error).split()), allow_retries=False) from None
