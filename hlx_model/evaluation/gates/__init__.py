"""The quality gates: one file for each family. Every `GateSpec` and `MilestoneSpec` of a module here is found.

To add a gate, add a file. `spec.py` says what it declares.
"""

import importlib
import pkgutil
from operator import attrgetter

from hlx_model.evaluation.spec import GateSpec, MilestoneSpec
from hlx_model.phases import PHASES

_MODULES = [importlib.import_module(f"{__name__}.{module.name}") for module in pkgutil.iter_modules(__path__)]
_DECLARED = [value for module in _MODULES for value in vars(module).values()]
_IN_ORDER = attrgetter("position", "name")
_SPECS = sorted((spec for spec in _DECLARED if isinstance(spec, GateSpec)), key=_IN_ORDER)
_MILESTONE_SPECS = sorted((spec for spec in _DECLARED if isinstance(spec, MilestoneSpec)), key=_IN_ORDER)

GATES = {spec.name: spec for spec in _SPECS}
"""Every gate of a report by name, in their order."""
GATES_OF_PHASE = {phase: tuple(name for name, spec in GATES.items() if phase in spec.phases) for phase in PHASES}
"""The names of the gates of each phase, in their order."""
MILESTONE_GATES = {spec.name: spec for spec in _MILESTONE_SPECS}
"""Every gate during training by name, in their order."""
COMPLETED = "training_completed"
"""The gate that fails if a training was stopped."""

assert (len(GATES), len(MILESTONE_GATES)) == (len(_SPECS), len(_MILESTONE_SPECS)), "two gates have the same name"
