"""Whether the standard prompts are answered in each format."""

from collections.abc import Sequence

from hlx_model.evaluation.fitness import stated
from hlx_model.evaluation.rate_gate import not_required, rate_gate
from hlx_model.evaluation.spec import GateSpec
from hlx_model.reporting.models import StandardAnswer
from hlx_model.verdicts import Fitness, GateResult

_NAME = "standard_prompts"


def standard_prompts(answers: Sequence[StandardAnswer], fitness: Fitness) -> GateResult:
    """Require the value of a sentence if one is known, and a line that parses after a prompt that is no sentence.

    By heart, only sentences of training have a known value, and nothing is required after a prompt that is no sentence.
    """
    valued = [answer for answer in answers if answer.same_value is not None]
    others = [] if fitness.by_heart else [a for a in answers if a.same_value is None and not is_sentence(a.prompt)]
    asked = [*valued, *others]
    if not asked:
        hits = sum(answer.parses for answer in answers)
        return not_required(_NAME, "of the answers parse", hits, len(answers), "no standard prompt is in training")
    what = f"right answers to the standard prompts (values {len(valued)}, lines that parse {len(others)})"
    return rate_gate(_NAME, what, sum(answer.right for answer in asked), len(asked), fitness.limits[_NAME])


def is_sentence(prompt: str) -> bool:
    """Return whether a standard prompt is an English sentence; the others begin with the name of a format."""
    return ":" not in prompt


STANDARD_PROMPTS = GateSpec(
    _NAME, description="The standard prompts are answered rightly, in each format.",
    requirement=f"right answers {stated(_NAME)}; right is the value of a sentence, if the corpus, the evaluation or "
    "composed entries define one, and a line that parses after the three prompts that are no sentences",
    by_heart="the same of the sentences that are in training, and of no other prompt",
    needs=("standard_answers", "fitness"), check=lambda m: standard_prompts(m.standard_answers, m.fitness),
    writes=("translations",), position=100, mended_by_training=True,
)  # fmt: skip
