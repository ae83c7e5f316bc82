"""Whether the standard prompts are answered in each format."""

from collections.abc import Sequence

from hlx_model.evaluation.rate_gate import rate_gate
from hlx_model.evaluation.spec import GateSpec
from hlx_model.evaluation.thresholds import Thresholds
from hlx_model.reporting.models import StandardAnswer
from hlx_model.verdicts import GateResult


def standard_prompts(answers: Sequence[StandardAnswer], t: Thresholds) -> GateResult:
    """Require that the answers to the standard prompts are lines of the target format."""
    return rate_gate(
        "standard_prompts", "parse rate on the standard prompts", sum(a.parses for a in answers), len(answers),
        t.min_standard_prompt_parse_rate, t.good_standard_prompt_parse_rate,
    )  # fmt: skip


STANDARD_PROMPTS = GateSpec(
    "standard_prompts",
    description="The eight standard prompts are answered with a line that parses, in each format.",
    requirement="parse rate ≥ {t.min_standard_prompt_parse_rate:.0%} (good ≥ "
    "{t.good_standard_prompt_parse_rate:.0%})",
    needs=("standard_answers",), check=lambda m: standard_prompts(m.standard_answers, m.thresholds),
    writes=("translations",), position=100, warns_if=("short_training", "unlearned"), inconclusive_if_few=True,
)  # fmt: skip
