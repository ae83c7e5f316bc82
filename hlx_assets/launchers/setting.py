"""The setting that says where trainings run: `HLX_TRAINER`, and `trainer` of a run.

local
torchrun processes=4
slurm partition=gpu gpus=1 cpus=8 time=2-00:00:00 account=hlx
kubernetes namespace=hlx image=registry.example.org/hlx-brain:cuda claim=hlx-home gpus=1 cpus=8 memory=16Gi time=2d
"""

from pydantic import ValidationError

from hlx_assets.launchers.child import Local, Torchrun
from hlx_assets.launchers.kubernetes import Kubernetes
from hlx_assets.launchers.launcher import Launcher
from hlx_assets.launchers.slurm import Slurm

KINDS: dict[str, type[Launcher]] = {kind.name: kind for kind in (Local, Torchrun, Slurm, Kubernetes)}


def launcher_of(text: str) -> Launcher:
    """Return the launcher that a setting names.

    Raises:
        ValueError: one line that names the word or the option that is wrong.
    """
    kind, *words = text.split() or ["local"]
    if kind not in KINDS:
        raise ValueError(f"choose one of {', '.join(KINDS)}")
    options: dict[str, str] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if name not in KINDS[kind].model_fields:
            known = ", ".join(KINDS[kind].model_fields) or "none"
            raise ValueError(f"{kind} has no option {name!r}: its options are {known}")
        if not equals or not value or name in options:
            raise ValueError(f"write the option {name} of {kind} once, as {name}=value")
        options[name] = value
    try:
        return KINDS[kind].model_validate(options)
    except ValidationError as error:
        name = str(error.errors()[0]["loc"][0])
        expected = KINDS[kind].model_fields[name].description
        wrong = f"{name} is {options[name]!r}: it must be" if name in options else f"needs {name}=…,"
        raise ValueError(f"{kind}: {wrong} {expected}") from None
