"""What a heartbeat says to one who watches: the judgement that sensor and command line share."""

import math
import os
import time

from hlx_model.training.heartbeat import Heartbeat

STALL_SECONDS = 300.0
"""The guide's "no progress for five minutes"."""


def process_alive(pid: int) -> bool:
    """Whether a process of that number runs on this machine."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def diagnose(beat: Heartbeat, now: float | None = None, *, stall_seconds: float = STALL_SECONDS) -> str | None:
    """Why the training of this heartbeat must be stopped, or None where it is well or has ended."""
    if not beat.running:
        return None
    if not process_alive(beat.pid):
        return f"process {beat.pid} is gone: materialize again, or repeat the command, to resume"
    silent = (time.time() if now is None else now) - beat.time
    if silent > stall_seconds:
        return f"no progress for {silent:.0f} seconds: look at the machine (GPU, disk, memory), then resume"
    for name in ("train_loss", "held_out_loss"):
        value = getattr(beat, name)
        if value is not None and not math.isfinite(value):
            return f"{name} is {value}: use a lower learning rate"
    return None
