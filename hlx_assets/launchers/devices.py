"""The GPUs of this machine, if several trainings share them: each trains one model at a time.

The lock of a GPU belongs to the trainer: if the process of its run is killed, it is free when the trainer has ended.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hlx_model.files import lock

VISIBLE = "CUDA_VISIBLE_DEVICES"


@contextmanager
def free_gpu(number: int, folder: Path) -> Iterator[tuple[str, int]]:
    """Lock a GPU while the block runs, and while a child has the lock.

    Args:
        number: GPUs that trainings may use: the first ones of `CUDA_VISIBLE_DEVICES`, or of the machine.
        folder: gets the locks.

    Yields:
        The GPU as `CUDA_VISIBLE_DEVICES` names it, and the descriptor of its lock, which the child must inherit.

    Raises:
        ValueError: all are in use, or fewer are visible.
    """
    named = os.environ.get(VISIBLE, "")
    visible = [name.strip() for name in named.split(",") if name.strip()] or [str(index) for index in range(number)]
    if len(visible) < number:
        raise ValueError(f"the trainer is local gpus={number}, and {VISIBLE}={named} has {len(visible)}: choose fewer")
    folder.mkdir(parents=True, exist_ok=True)
    for name in visible[:number]:
        path = folder / f".gpu-{name}.lock"
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            lock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, path)
        except BlockingIOError:
            os.close(descriptor)
            continue
        try:
            yield name, descriptor
            return
        finally:
            os.close(descriptor)
    raise ValueError(
        f"the trainer is local gpus={number}, and each of these GPUs trains a model: wait for one, or let fewer "
        f'trainings run at once (HLX_TRAINER="local gpus={number}" where Dagster is started)'
    )
