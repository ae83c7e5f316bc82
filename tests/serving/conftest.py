"""Two finished models, of which each is served in its turn."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from hlx_model.checkpoints.manifest import read_manifest
from hlx_model.files import read_json
from hlx_model.layout import Artifacts
from hlx_model.model.tokenizer import EOS
from hlx_model.model.transformer import Transformer
from hlx_model.serving import engines
from tests.support.curriculum import Curriculum, copied
from tests.support.damage import reseal, rewrite_checkpoint


@dataclass(frozen=True)
class Pair:
    """Two finished models that never end a text themselves, and write different ones. The newer one is served."""

    older: Path
    newer: Path

    @property
    def training(self) -> Path:
        """The folder of the trainings."""
        return self.older.parents[2]

    def judge(self, checkpoint: Path, outcome: str) -> None:
        """Give a checkpoint another verdict."""
        verdict = Artifacts.of_checkpoint(checkpoint).report(checkpoint) / "verdict.json"
        gates: list[dict[str, Any]] = [{**gate, "outcome": outcome} for gate in read_json(verdict)["gates"]]
        reseal(verdict, outcome=outcome, gates=gates)

    @staticmethod
    def name(checkpoint: Path) -> str:
        """The name of a checkpoint for clients."""
        return f"{checkpoint.parents[1].name}/{checkpoint.name}"


@pytest.fixture(scope="package", autouse=True)
def one_engine() -> Iterator[None]:
    """One engine for each server of this process, however many cores there are: each takes seconds to start."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engines, "MIN_SLOTS", 1_000)
        yield


@pytest.fixture(scope="package")
def made_pair(curriculum: Curriculum, tmp_path_factory: pytest.TempPathFactory) -> Pair:
    """Two models to copy."""
    older = copied(curriculum, tmp_path_factory.mktemp("pair") / "artifacts", 3)
    training = older.parents[2]
    newer = training / "0123456789abcdef" / "checkpoints" / older.name
    shutil.copytree(older.parents[1], newer.parents[1])
    report = Artifacts.of_checkpoint(older).report(older)
    shutil.copytree(report, Artifacts.of_checkpoint(newer).report(newer))
    for checkpoint, drift in ((older, 0.0), (newer, 3.0)):

        def change(model: Transformer, drift: float = drift) -> None:
            with torch.no_grad():
                model.output_projection.bias[EOS] = -1e4
                model.output_projection.bias[::3] += drift

        created = "2026-01-01T00:00:00+00:00" if checkpoint is older else "2026-01-02T00:00:00+00:00"
        rewrite_checkpoint(checkpoint, change, training_id=checkpoint.parents[1].name, created=created)
        verdict = Artifacts.of_checkpoint(checkpoint).report(checkpoint) / "verdict.json"
        reseal(verdict, weights_sha256=read_manifest(checkpoint).weights_sha256)
    return Pair(older, newer)


@pytest.fixture
def pair(made_pair: Pair, tmp_path: Path) -> Pair:
    """Two models to change."""
    artifacts = made_pair.training.parent
    shutil.copytree(artifacts, tmp_path / "artifacts")
    older, newer = (tmp_path / "artifacts" / path.relative_to(artifacts) for path in (made_pair.older, made_pair.newer))
    return Pair(older, newer)
