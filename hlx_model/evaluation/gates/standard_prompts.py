"""Whether the standard prompts are answered in each format."""

from collections.abc import Sequence

from hlx_model.evaluation.rate_gate import rate_gate
from hlx_model.evaluation.spec import GateSpec
from hlx_model.evaluation.thresholds import T
from hlx_model.reporting.models import StandardAnswer
from hlx_model.verdicts import GateResult


def standard_prompts(answers: Sequence[StandardAnswer]) -> GateResult:
    """Require that the answers to the standard prompts are lines of the target format."""
    parsed, what = sum(a.parses for a in answers), "parse rate on the standard prompts"
    required, good = T.min_standard_prompt_parse_rate, T.good_standard_prompt_parse_rate
    return rate_gate("standard_prompts", what, parsed, len(answers), required, good)


STANDARD_PROMPTS = GateSpec(
    "standard_prompts", description="The eight standard prompts are answered with a line that parses, in each format.",
    requirement=f"parse rate ≥ {T.min_standard_prompt_parse_rate:.0%} (good ≥ "
    f"{T.good_standard_prompt_parse_rate:.0%})",
    needs=("standard_answers",), check=lambda m: standard_prompts(m.standard_answers), writes=("translations",),
    position=100, warns_if=("short_training", "unlearned"), inconclusive_if_few=True,
)  # fmt: skip
