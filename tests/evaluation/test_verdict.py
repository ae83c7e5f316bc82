"""A verdict is valid for one checkpoint, one set of corpora and one version of the gates; else the gate is closed."""

import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hlx_model.checkpoints.manifest import CheckpointError
from hlx_model.checkpoints.seal import verify_checkpoint
from hlx_model.corpus import CorpusError
from hlx_model.evaluation import verdict as verdicts
from hlx_model.evaluation.evaluate import evaluate
from hlx_model.evaluation.fitness import Requirements
from hlx_model.evaluation.gates import GATES_OF_PHASE
from hlx_model.evaluation.verdict import Verdict, require_passed
from hlx_model.files import digest_of, read_json
from hlx_model.layout import Artifacts
from hlx_model.model.transformer import Transformer
from hlx_model.verdicts import GateClosed, GateResult, write_sealed
from tests.support.curriculum import Curriculum, copied
from tests.support.damage import flip, rewrite_checkpoint, seal


@pytest.fixture
def evaluated(curriculum: Curriculum, tmp_path: Path) -> Path:
    """Return a copy of phase 1's checkpoint with its corpora and its verdict: all are whole, and the gate is open."""
    return copied(curriculum, tmp_path / "artifacts", 1)


def edit(checkpoint: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the verdict on a checkpoint, and give it the right digest."""
    path = Artifacts.of_checkpoint(checkpoint).report(checkpoint) / "verdict.json"
    content = read_json(path)
    change(content)
    seal(path, content)


def closed(checkpoint: Path) -> str:
    with pytest.raises(GateClosed) as error:
        require_passed(verify_checkpoint(checkpoint))
    line = str(error.value)
    assert line.startswith(f"the gate of {checkpoint.name} is closed") and "\n" not in line
    return line


def test_a_verdict_without_a_failed_gate_opens(evaluated: Path, curriculum: Curriculum) -> None:
    verdict = require_passed(verify_checkpoint(evaluated))
    assert verdict == curriculum.phases[1].evaluation.verdict
    assert verdict.outcome != "fail" and verdict.gates


def test_the_verdict_is_of_the_weights_and_corpora_of_the_manifest(evaluated: Path) -> None:
    verified = verify_checkpoint(evaluated)
    manifest, verdict = verified.manifest, require_passed(verified)
    assert verdict.weights_sha256 == manifest.weights_sha256
    assert verdict.corpora == {asset: version.data_version for asset, version in manifest.corpora.items()}
    assert verdict.checkpoint == f"{manifest.training_id}/phase1_FINAL_epoch30"


def test_a_warning_does_not_close(evaluated: Path) -> None:
    edit(evaluated, lambda v: v["gates"].append(GateResult("words", "warn", "few").to_json()))
    assert require_passed(verify_checkpoint(evaluated)).gates[-1].outcome == "warn"


def test_a_changed_byte_of_the_verdict_closes(evaluated: Path) -> None:
    path = Artifacts.of_checkpoint(evaluated).report(evaluated) / "verdict.json"
    whole = path.read_bytes()
    for position in range(0, len(whole), 37):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1 :])
        if json_or_none(path) != json.loads(whole):  # a changed blank says nothing else
            assert "no verdict: " in closed(evaluated)
    edited = json.loads(whole)
    edited["gates"][0]["outcome"] = "gail"
    path.write_text(json.dumps(edited))
    assert "its digest does not fit its content" in closed(evaluated)


def json_or_none(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except ValueError:
        return None


def test_a_failed_gate_closes_and_is_named_with_its_metric(evaluated: Path) -> None:
    words = GATES_OF_PHASE[1].index("words")
    failed = {"outcome": "fail", "reason": "words 12.0% (3 of 25; required ≥ 50%)"}
    edit(evaluated, lambda v: v["gates"][words].update(failed))
    line = closed(evaluated)
    assert re.search(r": words: words 12\.0% \(3 of 25; required ≥ 50%\): see .*report\.html$", line)
    edit(evaluated, lambda v: v["gates"][words + 1].update(outcome="fail"))
    assert "words (and 1 more)" in closed(evaluated)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda v: v.update(weights_sha256="0" * 64), "for another weights_sha256"),
        (lambda v: v["corpora"].update(english_corpus="0" * 64), "for another corpora"),
        (lambda v: v["corpora"].clear(), "for another corpora"),
        (lambda v: v.update(checkpoint="0123/phase1_FINAL_epoch30"), "for another checkpoint"),
        (lambda v: v.update(gates_version="0"), "it was not judged by new gates: its verdict is of version 0, now "),
        (lambda v: v.clear(), "cannot be read"),
        (lambda v: v.pop("outcome"), "cannot be read"),
        (lambda v: v.update(gates=None), "cannot be read"),
    ],
)
def test_a_verdict_for_something_else_closes(
    evaluated: Path, change: Callable[[dict[str, Any]], object], named: str
) -> None:
    edit(evaluated, change)
    line = closed(evaluated)
    assert named in line and line.endswith(f"evaluate it with `hlx validate --checkpoint {evaluated}`")


def test_without_a_verdict_the_gate_is_closed(evaluated: Path) -> None:
    report = Artifacts.of_checkpoint(evaluated).report(evaluated)
    (report / "verdict.json").write_text("{")
    assert "cannot be read" in closed(evaluated)
    (report / "verdict.json").unlink()
    assert f"no verdict: {report / 'verdict.json'} is missing" in closed(evaluated)


def test_a_verdict_of_older_gates_closes(evaluated: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verdicts, "GATES_VERSION", "next")
    assert "it was not judged by new gates" in closed(evaluated)


def test_the_next_evaluation_says_that_new_gates_judged(evaluated: Path) -> None:
    assert evaluate(evaluated).judged_anew is None
    edit(evaluated, lambda v: (v.update(gates_version="3-be51b8ba", outcome="warn"), v.pop("fitness")))
    said = evaluate(evaluated).judged_anew
    assert said == "judged by new gates: the verdict of version 3-be51b8ba was warn; the verdict now is pass"
    require_passed(verify_checkpoint(evaluated))


def test_the_verdict_records_what_was_required(curriculum: Curriculum) -> None:
    for phase, gates in ((1, {"words"}), (2, {"completions_parse"})):
        fitness = curriculum.phases[phase].evaluation.verdict.fitness
        assert fitness is not None and (fitness.profile, fitness.by_heart) == ("quick", True)
        assert set(fitness.limits) == gates
    fitness = curriculum.phases[3].evaluation.verdict.fitness
    assert fitness is not None and fitness.limits["training_pairs"].required == 0.9


def test_a_verdict_is_taken_as_it_was_required(evaluated: Path) -> None:
    lower = evaluate(evaluated, requirements=Requirements("production", {"words": 0.3}))
    assert lower.verdict.outcome == "warn" and lower.verdict.fitness is not None
    assert lower.verdict.fitness.limits["words"].required == 0.3
    assert require_passed(verify_checkpoint(evaluated)) == lower.verdict
    higher = evaluate(evaluated, requirements=Requirements(None, {"words": 1.0}))
    assert {gate.name: gate.outcome for gate in higher.verdict.gates}["limits"] == "pass"


def test_another_checkpoint_under_the_same_name_closes(evaluated: Path) -> None:
    """It is whole and sealed, but not the one that was evaluated."""

    def change(model: Transformer) -> None:
        model.output_projection.bias.data += 1e-3

    rewrite_checkpoint(evaluated, change)
    assert "for another weights_sha256" in closed(evaluated)


@pytest.mark.parametrize("name", ["model.safetensors", "optimizer.safetensors", "state.json", "manifest.json"])
def test_a_changed_byte_of_the_checkpoint_is_an_error(evaluated: Path, name: str) -> None:
    flip(evaluated / name)
    with pytest.raises(CheckpointError, match=re.escape(str(evaluated / name))):
        require_passed(verify_checkpoint(evaluated))


@pytest.mark.parametrize("spoil", [os.remove, lambda path: os.truncate(path, 100)])
def test_a_changed_corpus_is_an_error(evaluated: Path, spoil: Callable[[Path], None]) -> None:
    (rows,) = (evaluated.parents[3] / "corpora" / "english_corpus").glob("*/rows.parquet")
    spoil(rows)
    with pytest.raises(CorpusError, match=re.escape(str(rows.parent))):
        require_passed(verify_checkpoint(evaluated))


def test_other_rows_in_a_corpus_are_an_error(evaluated: Path) -> None:
    corpora = evaluated.parents[3] / "corpora"
    (rows,) = (corpora / "english_corpus").glob("*/rows.parquet")
    (other,) = (corpora / "hlx_corpus").glob("*/rows.parquet")
    shutil.copy(other, rows)
    with pytest.raises(CorpusError, match=r"its rows are not those of version"):
        require_passed(verify_checkpoint(evaluated))


def test_a_verdict_survives_its_file(tmp_path: Path) -> None:
    gates = (
        GateResult("perplexity", "fail", "too high", float("inf"), 2.3, 100, (0.0, 0.5)),
        GateResult("words", "pass", "ok"),
    )
    verdict = Verdict(
        outcome="fail",
        gates=gates,
        checkpoint="0123/phase1_FINAL_epoch2",
        weights_sha256="ab",
        corpora={"english_corpus": "cd"},
        gates_version="1",
    )
    verdict.write(tmp_path)
    assert Verdict.read(tmp_path) == verdict


def test_a_kept_verdict_has_the_digest_of_its_own_json(tmp_path: Path) -> None:
    """Manifests of trained checkpoints record that digest: a number must stay the int, float or name that it was."""
    numbers = [(10, 10), (5.0, 2), ("inf", 1.94), ("nan", None), (None, 0.5)]
    content = {
        "outcome": "fail",
        "gates": [
            {
                "name": f"gate {i}", "outcome": "fail", "reason": "words 12.0%, required ≥ 50%", "value": value,
                "threshold": threshold, "samples": 64, "interval": [0.0, 1.0] if i % 2 else None,
            }
            for i, (value, threshold) in enumerate(numbers)
        ],
        "checkpoint": "0123/phase1_FINAL_epoch2", "weights_sha256": "ab", "corpora": {"english_corpus": "cd"},
        "gates_version": "3-be51b8ba",
    }  # fmt: skip
    write_sealed(tmp_path, content)
    assert Verdict.read(tmp_path).digest == digest_of(content)
