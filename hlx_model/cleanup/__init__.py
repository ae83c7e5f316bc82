"""`hlx clean`: find what no kept checkpoint needs, and remove it. Mark and sweep over the artifacts of one root.

    plan = plan_cleanup(training)     # writes nothing
    carry_out(plan)

`disk.py` reads what is there, `mark.py` decides what is kept and why, `sweep.py` removes the rest.
"""

from hlx_model.cleanup.mark import GROUPS, Kept
from hlx_model.cleanup.sweep import CleanupPlan, CleanupResult, Removal, carry_out, plan_cleanup

__all__ = ["GROUPS", "CleanupPlan", "CleanupResult", "Kept", "Removal", "carry_out", "plan_cleanup"]
