"""Settings that are read from environment variables."""

import math
import os

SAVE_SECONDS = "HLX_SAVE_SECONDS"


def seconds(name: str, default: float, *, zero: bool = False) -> float:
    """Return the seconds in the variable `name`, or the default if it is unset or empty.

    Args:
        name: of the variable.
        default: in seconds.
        zero: whether 0 is allowed.

    Raises:
        ValueError: it is not a finite number above 0; names the variable.
    """
    text = os.environ.get(name, "").strip()
    try:
        value = float(text) if text else default
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and (value > 0 or (zero and value == 0))):
        raise ValueError(f"{name} is {text!r}: it must be seconds, {'0 or more' if zero else 'a number above 0'}")
    return value
