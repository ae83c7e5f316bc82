"""Settings that come from the environment, for those that no option sets."""

import math
import os

SAVE_SECONDS = "HLX_SAVE_SECONDS"


def seconds(name: str, default: float, *, zero: bool = False) -> float:
    """The seconds that the variable `name` says, or the default where it is unset or empty.

    `ValueError` that names the variable where it is no finite number above 0 (or 0, where that has a meaning).
    """
    said = os.environ.get(name, "").strip()
    try:
        value = float(said) if said else default
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and (value > 0 or (zero and value == 0))):
        raise ValueError(f"{name} is {said!r}: it must be seconds, {'0 or more' if zero else 'a number above 0'}")
    return value
