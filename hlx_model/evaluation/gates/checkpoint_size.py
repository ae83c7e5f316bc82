"""Whether the weights in a checkpoint are those of the size in the settings: in parameters and in bytes."""

from pathlib import Path
from typing import cast

from hlx_model.checkpoints.seal import stored_weights
from hlx_model.evaluation.spec import MilestoneSpec
from hlx_model.model.sizes import SIZES
from hlx_model.verdicts import GateResult

BYTES_PER_PARAMETER = 4
MAX_HEADER_BYTES = 65_536
"""Bytes that the header of safetensors may take: it lists names, shapes and offsets of at most 250 tensors."""


def parameter_count(checkpoint: Path, size: str) -> GateResult:
    """Require exactly the parameters of the size; only the header of the weights is read."""
    required = SIZES[size].parameters
    found, _ = stored_weights(checkpoint)
    reason = f"{found:,} parameters, required {required:,} ({size})"
    return GateResult("parameter_count", "pass" if found == required else "fail", reason, found, required)


def file_size(checkpoint: Path, size: str) -> GateResult:
    """Require the bytes of the size's parameters in fp32, and a header."""
    required = BYTES_PER_PARAMETER * SIZES[size].parameters
    _, stored = stored_weights(checkpoint)
    fits = required <= stored <= required + MAX_HEADER_BYTES
    reason = f"{stored:,} bytes of weights, required {required:,} and a header ({size})"
    return GateResult("file_size", "pass" if fits else "fail", reason, stored, required)


def checkpoint_gates(checkpoint: Path, size: str) -> list[GateResult]:
    """Return both gates on a checkpoint."""
    return [parameter_count(checkpoint, size), file_size(checkpoint, size)]


PARAMETER_COUNT = MilestoneSpec(
    "parameter_count", description="The model has exactly the parameters of the size in the settings.",
    requirement="the number of parameters of the size",
    check=lambda m: parameter_count(cast(Path, m.checkpoint), m.size), position=10, needs_checkpoint=True,
)  # fmt: skip
FILE_SIZE = MilestoneSpec(
    "file_size", description="The weights take the bytes that their parameters need.",
    requirement="4 bytes for each parameter of the size, and a header",
    check=lambda m: file_size(cast(Path, m.checkpoint), m.size), position=20, needs_checkpoint=True,
)  # fmt: skip
