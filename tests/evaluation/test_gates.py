"""The specs of the gates: their order, what they need, and the table of them in `docs/gates.md`."""

import os
from dataclasses import replace
from pathlib import Path
from typing import cast, get_args

import pytest

from hlx_model.checkpoints.seal import verify_checkpoint
from hlx_model.checkpoints.weights import load_model
from hlx_model.corpus import store
from hlx_model.evaluation.evaluate import target_of
from hlx_model.evaluation.gates import COMPLETED, GATES, GATES_OF_PHASE, MILESTONE_GATES
from hlx_model.evaluation.measurements import Measurements, Need
from hlx_model.evaluation.spec import GateSpec, MilestoneSpec
from hlx_model.layout import Artifacts
from hlx_model.phases import PHASES
from hlx_model.reporting.models import SampleSizes
from hlx_model.verdicts import GateResult
from tests.support.curriculum import Curriculum

DOCS = Path(__file__).parents[2] / "docs" / "gates.md"
BEGIN, END = "<!-- gates: begin -->", "<!-- gates: end -->"
COMMON = ("training_completed", "lineage", "limits", "perplexity", "copy_rate", "reported_loss")
DETECTED = ("collapse", "scrambled", "parroting")


def test_the_gates_of_each_phase_keep_their_order() -> None:
    assert {
        1: (*COMMON, "words", *DETECTED, "diversity"),
        2: (*COMMON, "completions_parse", *DETECTED, "diversity"),
        3: (
            *COMMON, "evaluation", "parse_rate", "exact_match_to_hlx", "exact_match_to_english", "training_pairs",
            "standard_prompts", *DETECTED, "diversity", "not_forgotten",
        ),
    } == GATES_OF_PHASE  # fmt: skip
    assert GATES_OF_PHASE[1][0] == COMPLETED


def test_the_gates_of_a_milestone_keep_their_order() -> None:
    assert tuple(MILESTONE_GATES) == (
        "parameter_count", "file_size", "next_token_loss", "copy_rate", "reported_loss", "unigram",
    )  # fmt: skip


class Reads:
    """Measurements that note which of them are read."""

    def __init__(self, measurements: Measurements) -> None:
        self.measurements, self.read = measurements, set[str]()

    def __getattr__(self, name: str) -> object:
        if name in get_args(Need):
            self.read.add(name)
        return getattr(self.measurements, name)


@pytest.mark.parametrize("phase", PHASES)
def test_a_gate_reads_the_measurements_that_it_declares(curriculum: Curriculum, phase: int) -> None:
    trained = curriculum.phases[phase]
    root = Artifacts.of_checkpoint(trained.checkpoint).root
    corpora = {asset: store.load(root / v.path) for asset, v in trained.outcome.manifest.corpora.items()}
    target = target_of(trained.checkpoint, trained.outcome.manifest)
    few = SampleSizes(texts=8, prefixes=2, rows=2, conversions=1, training=2)
    measurements = Measurements(target, load_model(verify_checkpoint(trained.checkpoint)), corpora, few)
    for name in GATES_OF_PHASE[phase]:
        reads = Reads(measurements)
        assert GATES[name].check(cast(Measurements, reads)).name == name
        assert reads.read == set(GATES[name].needs), name


def test_the_documentation_of_a_gate_is_what_is_true_and_what_is_required() -> None:
    spec = GateSpec(
        "toy", description="It plays.", requirement="≥ 3", needs=(), check=lambda m: GateResult("toy", "pass", "")
    )
    assert spec.documentation == "It plays. Required: ≥ 3."
    by_heart = replace(spec, by_heart="≥ 2").documentation
    assert by_heart == "It plays. Required: ≥ 3. Of a corpus that can only be learned by heart: ≥ 2."


def phases_of(spec: GateSpec) -> str:
    """Return the phases of a gate, for the table."""
    return "all" if set(spec.phases) == set(PHASES) else ", ".join(map(str, spec.phases))


def milestone_row(spec: MilestoneSpec) -> str:
    """Return the row of a gate during training."""
    return f"| `{spec.name}` | {spec.first_epoch} | {spec.description} | {spec.requirement} |"


def table() -> str:
    """Return the tables of all gates."""
    rows = [
        "At the end, in the report:",
        "",
        "| gate | phases | description | required | of a corpus that can only be learned by heart |",
        "|---|---|---|---|---|",
        *(
            f"| `{s.name}` | {phases_of(s)} | {s.description} | {s.requirement} | {s.by_heart or 'the same'} |"
            for s in GATES.values()
        ),
        "",
        "During training, in every phase:",
        "",
        "| gate | from epoch | description | required |",
        "|---|---|---|---|",
        *map(milestone_row, MILESTONE_GATES.values()),
    ]
    return "\n".join(rows)


def test_the_table_of_gates_in_the_documents_is_that_of_the_specs() -> None:
    page = DOCS.read_text(encoding="utf-8")
    before, rest = page.split(BEGIN)
    found, after = rest.split(END)
    if os.environ.get("HLX_UPDATE_DOCS"):
        found = f"\n{table()}\n"
        DOCS.write_text(f"{before}{BEGIN}{found}{END}{after}", encoding="utf-8")
    assert found.strip() == table()
