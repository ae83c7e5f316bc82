"""A verdict is valid for one checkpoint, one set of corpora and one version of the gates; else the gate is closed."""

import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hlx_model.checkpoints import weights as checkpoints
from hlx_model.checkpoints.manifest import CheckpointError
from hlx_model.checkpoints.progress import read_state
from hlx_model.checkpoints.seal import remove_checkpoint, verify_checkpoint
from hlx_model.corpus import CorpusError
from hlx_model.evaluation import verdict as verdicts
from hlx_model.evaluation.gates import GATES_OF_PHASE
from hlx_model.evaluation.verdict import Verdict, require_passed
from hlx_model.files import digest_of
from hlx_model.layout import Artifacts
from hlx_model.verdicts import GateClosed, GateResult, write_sealed
from tests.support.curriculum import Curriculum


@pytest.fixture
def judged(curriculum: Curriculum, tmp_path: Path) -> Path:
    """Return a copy of phase 1's checkpoint with its corpora and its verdict: all are whole, and the gate is open."""
    root = tmp_path / "artifacts"
    final = curriculum.phases[1].checkpoint
    shutil.copytree(final, root / final.relative_to(curriculum.root))
    for folder in ("corpora", "reports"):
        shutil.copytree(curriculum.root / folder, root / folder)
    return root / final.relative_to(curriculum.root)


def edit(checkpoint: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the verdict on a checkpoint, and give it the right digest."""
    path = Artifacts.of_checkpoint(checkpoint).report(checkpoint) / "verdict.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    del content["digest"]
    change(content)
    path.write_text(json.dumps({**content, "digest": digest_of(content)}), encoding="utf-8")


def closed(checkpoint: Path) -> str:
    with pytest.raises(GateClosed) as error:
        require_passed(verify_checkpoint(checkpoint))
    line = str(error.value)
    assert line.startswith(f"the gate of {checkpoint.name} is closed") and "\n" not in line
    return line


def test_a_verdict_without_a_failed_gate_opens(judged: Path, curriculum: Curriculum) -> None:
    verdict = require_passed(verify_checkpoint(judged))
    assert verdict == curriculum.phases[1].evaluation.verdict
    assert verdict.outcome != "fail" and verdict.gates


def test_the_verdict_is_of_the_weights_and_corpora_of_the_manifest(judged: Path) -> None:
    verified = verify_checkpoint(judged)
    manifest, verdict = verified.manifest, require_passed(verified)
    assert verdict.weights_sha256 == manifest.weights_sha256
    assert verdict.corpora == {asset: version.data_version for asset, version in manifest.corpora.items()}
    assert verdict.checkpoint == f"{manifest.training_id}/phase1_FINAL_epoch30"


def test_a_warning_does_not_close(judged: Path) -> None:
    edit(judged, lambda v: v["gates"].append(GateResult("words", "warn", "few").to_json()))
    assert require_passed(verify_checkpoint(judged)).gates[-1].outcome == "warn"


def test_a_changed_byte_of_the_verdict_closes(judged: Path) -> None:
    path = Artifacts.of_checkpoint(judged).report(judged) / "verdict.json"
    whole = path.read_bytes()
    for position in range(0, len(whole), 37):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1 :])
        if json_or_none(path) != json.loads(whole):  # a changed blank says nothing else
            assert "no verdict: " in closed(judged)
    edited = json.loads(whole)
    edited["gates"][0]["outcome"] = "gail"
    path.write_text(json.dumps(edited))
    assert "its digest does not fit its content" in closed(judged)


def json_or_none(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except ValueError:
        return None


def test_a_failed_gate_closes_and_is_named_with_its_metric(judged: Path) -> None:
    words = GATES_OF_PHASE[1].index("words")
    failed = {"outcome": "fail", "reason": "words 12.0% (3 of 25; required ≥ 50%)"}
    edit(judged, lambda v: v["gates"][words].update(failed))
    line = closed(judged)
    assert re.search(r": words: words 12\.0% \(3 of 25; required ≥ 50%\): see .*report\.html$", line)
    edit(judged, lambda v: v["gates"][words + 1].update(outcome="fail"))
    assert "words (and 1 more)" in closed(judged)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda v: v.update(weights_sha256="0" * 64), "for another weights_sha256"),
        (lambda v: v["corpora"].update(english_corpus="0" * 64), "for another corpora"),
        (lambda v: v["corpora"].clear(), "for another corpora"),
        (lambda v: v.update(checkpoint="0123/phase1_FINAL_epoch30"), "for another checkpoint"),
        (lambda v: v.update(gates_version="0"), "for another gates_version"),
        (lambda v: v.clear(), "cannot be read"),
        (lambda v: v.pop("outcome"), "cannot be read"),
        (lambda v: v.update(gates=None), "cannot be read"),
    ],
)
def test_a_verdict_for_something_else_closes(
    judged: Path, change: Callable[[dict[str, Any]], object], named: str
) -> None:
    edit(judged, change)
    line = closed(judged)
    assert named in line and line.endswith(f"evaluate it with `hlx validate --checkpoint {judged}`")


def test_without_a_verdict_the_gate_is_closed(judged: Path) -> None:
    report = Artifacts.of_checkpoint(judged).report(judged)
    (report / "verdict.json").write_text("{")
    assert "cannot be read" in closed(judged)
    (report / "verdict.json").unlink()
    assert f"no verdict: {report / 'verdict.json'} is missing" in closed(judged)


def test_a_verdict_of_older_gates_closes(judged: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verdicts, "GATES_VERSION", "next")
    assert "for another gates_version" in closed(judged)


def test_another_checkpoint_under_the_same_name_closes(judged: Path) -> None:
    """It is whole and sealed, but not the one that was evaluated."""
    verified = verify_checkpoint(judged)
    manifest, model = verified.manifest, checkpoints.load_model(verified)
    model.output_projection.bias.data += 1e-3
    state = read_state(judged)
    remove_checkpoint(judged)
    checkpoints.write_checkpoint(judged.parent, manifest.replace(files={}, weights_sha256=""), model, state, None)
    assert "for another weights_sha256" in closed(judged)


@pytest.mark.parametrize("name", ["model.safetensors", "optimizer.safetensors", "state.json", "manifest.json"])
def test_a_changed_byte_of_the_checkpoint_is_an_error(judged: Path, name: str) -> None:
    content = bytearray((judged / name).read_bytes())
    content[len(content) // 2] ^= 1
    (judged / name).write_bytes(content)
    with pytest.raises(CheckpointError, match=re.escape(str(judged / name))):
        require_passed(verify_checkpoint(judged))


@pytest.mark.parametrize("spoil", [os.remove, lambda path: os.truncate(path, 100)])
def test_a_changed_corpus_is_an_error(judged: Path, spoil: Callable[[Path], None]) -> None:
    (rows,) = (judged.parents[3] / "corpora" / "english_corpus").glob("*/rows.parquet")
    spoil(rows)
    with pytest.raises(CorpusError, match=re.escape(str(rows.parent))):
        require_passed(verify_checkpoint(judged))


def test_other_rows_in_a_corpus_are_an_error(judged: Path) -> None:
    corpora = judged.parents[3] / "corpora"
    (rows,) = (corpora / "english_corpus").glob("*/rows.parquet")
    (other,) = (corpora / "hlx_corpus").glob("*/rows.parquet")
    shutil.copy(other, rows)
    with pytest.raises(CorpusError, match=r"its rows are not those of version"):
        require_passed(verify_checkpoint(judged))


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
                "name": f"gate {i}", "outcome": "fail", "reason": "at least 50% is asked", "value": value,
                "threshold": threshold, "samples": 64, "interval": [0.0, 1.0] if i % 2 else None,
            }
            for i, (value, threshold) in enumerate(numbers)
        ],
        "checkpoint": "0123/phase1_FINAL_epoch2", "weights_sha256": "ab", "corpora": {"english_corpus": "cd"},
        "gates_version": "3-be51b8ba",
    }  # fmt: skip
    write_sealed(tmp_path, content)
    assert Verdict.read(tmp_path).digest == digest_of(content)
