"""Whether sampled texts differ from each other."""

from collections.abc import Mapping, Sequence

from hlx_model.evaluation.spec import GateSpec
from hlx_model.evaluation.thresholds import T
from hlx_model.verdicts import GateResult, against


def diversity(sampled: Mapping[float, Sequence[str]], expected: int) -> GateResult:
    """Require that texts differ about as much as those of the corpus, at the temperature at which fewest do.

    The same answer at each temperature is right in a translation. So a model answers different prompts at each
    temperature, and it is their answers that must differ.

    Args:
        sampled: the sampled texts by temperature.
        expected: the number of distinct texts if they were of the corpus; at least one.
    """
    distinct = {temperature: len(set(texts)) for temperature, texts in sampled.items()}
    worst = min(distinct, key=distinct.__getitem__)
    share, samples = min(1.0, distinct[worst] / expected), len(sampled[worst])
    found = against(share, T.min_distinct_share)
    reason = f"{distinct[worst]} distinct texts among {samples} at temperature {worst:g}, {found.rate} of the "
    reason += f"{expected} that the corpus would give ({found.limits})"
    return GateResult("diversity", found.outcome, reason, share, found.threshold, samples)


_AT = ", ".join(f"{temperature:g}" for temperature in T.temperatures)
DIVERSITY = GateSpec(
    "diversity", description="Sampled texts differ from each other.",
    requirement=f"distinct texts ≥ {T.min_distinct_share:.0%} of those that the corpus would give; in translation, of "
    f"answers to different prompts, at each of the temperatures {_AT}",
    needs=("sampled",), check=lambda m: diversity(m.sampled.texts, m.sampled.expected), position=120,
)  # fmt: skip
