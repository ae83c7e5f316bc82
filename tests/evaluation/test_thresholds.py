"""The thresholds, and the version of the gates that follows from them."""

from hlx_model.evaluation.thresholds import Thresholds
from hlx_model.evaluation.verdict import GATES_VERSION


def test_the_gates_version_is_that_of_every_kept_verdict() -> None:
    assert GATES_VERSION == "3-be51b8ba"


def test_every_changed_threshold_changes_the_digest() -> None:
    t = Thresholds()
    changed = [t.replace(**{name: value + 1}) for name, value in t if name != "min_tokens_to_learn"]
    changed.append(t.replace(min_tokens_to_learn={**t.min_tokens_to_learn, "translations": 1}))
    assert len({t.digest, *(other.digest for other in changed)}) == len(dict(t)) + 1
