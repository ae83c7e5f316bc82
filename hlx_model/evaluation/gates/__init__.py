"""The quality gates: one file for each family. Every module here that declares `GATES` or `MILESTONE_GATES` is found.

To add a gate, add a file. `spec.py` says what it declares.
"""

import importlib
import pkgutil

from hlx_model.evaluation.spec import GateSpec, MilestoneSpec
from hlx_model.phases import PHASES

_MODULES = [importlib.import_module(f"{__name__}.{module.name}") for module in pkgutil.iter_modules(__path__)]
_SPECS: list[GateSpec] = [spec for module in _MODULES for spec in getattr(module, "GATES", ())]
_MILESTONE_SPECS: list[MilestoneSpec] = [s for module in _MODULES for s in getattr(module, "MILESTONE_GATES", ())]

GATES = {spec.name: spec for spec in sorted(_SPECS, key=lambda spec: (spec.position, spec.name))}
"""Every gate of a report by name, in their order."""
GATES_OF_PHASE = {
    phase: tuple(name for name, spec in GATES.items() if phase in spec.phases) for phase in PHASES
}  # fmt: skip
"""The names of the gates of each phase, in their order."""
MILESTONE_GATES = {spec.name: spec for spec in sorted(_MILESTONE_SPECS, key=lambda spec: (spec.position, spec.name))}
"""Every gate during training by name, in their order."""
COMPLETED = "training_completed"
"""The gate that fails if a training was stopped."""

assert len(GATES) == len(_SPECS), "two gates have the same name"
assert len(MILESTONE_GATES) == len(_MILESTONE_SPECS), "two gates during training have the same name"
