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


def checkpoint_gates(checkpoint: Path, size: str) -> tuple[GateResult, GateResult]:
    """Require exactly the parameters of the size, and their bytes in fp32 with a header; only the header is read."""
    required = SIZES[size].parameters
    found, stored = stored_weights(checkpoint)
    reason = f"{found:,} parameters, required {required:,} ({size})"
    count = GateResult("parameter_count", "pass" if found == required else "fail", reason, found, required)
    required *= BYTES_PER_PARAMETER
    fits = required <= stored <= required + MAX_HEADER_BYTES
    reason = f"{stored:,} bytes of weights, required {required:,} and a header ({size})"
    return count, GateResult("file_size", "pass" if fits else "fail", reason, stored, required)


PARAMETER_COUNT = MilestoneSpec(
    "parameter_count", description="The model has exactly the parameters of the size in the settings.",
    requirement="the number of parameters of the size",
    check=lambda m: checkpoint_gates(cast(Path, m.checkpoint), m.size)[0], position=10, needs_checkpoint=True,
)  # fmt: skip
FILE_SIZE = MilestoneSpec(
    "file_size", description="The weights take the bytes that their parameters need.",
    requirement="4 bytes for each parameter of the size, and a header",
    check=lambda m: checkpoint_gates(cast(Path, m.checkpoint), m.size)[1], position=20, needs_checkpoint=True,
)  # fmt: skip
