"""Is it a checkpoint at all? Asked of each phase's checkpoint before its report is made."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import torch

from hlx_assets.curriculum.assets import assets
from hlx_model import checkpoint as checkpoints
from hlx_model.checkpoint import WEIGHTS, CheckpointError
from hlx_model.transformer import SIZES

CHECKS = {
    "verifies": "Every file is as the manifest says, and the weights load.",
    "parameter_count": "The model has exactly the parameters of the size asked for.",
    "file_size": "The weights take the bytes that their parameters need.",
    "finite": "No weight is NaN or infinite.",
}
BYTES_PER_PARAMETER = 4
HEADER_BYTES = 65_536
"""Most that safetensors' header may take: it lists names, shapes and offsets of at most 250 tensors."""


def _checks(asset: dg.AssetsDefinition) -> dg.AssetChecksDefinition:
    key = asset.key
    specs = [dg.AssetCheckSpec(name, asset=key, blocking=True, description=text) for name, text in CHECKS.items()]

    @dg.multi_asset_check(
        specs=specs,
        name=f"{key.to_user_string()}_integrity",
        ins={"checkpoint": dg.AssetIn(key)},
        can_subset=True,
    )
    def integrity(context: dg.AssetCheckExecutionContext, checkpoint: Path) -> Iterator[dg.AssetCheckResult]:
        for name, passed, description in examine(checkpoint):
            if dg.AssetCheckKey(key, name) in context.selected_asset_check_keys:
                yield dg.AssetCheckResult(asset_key=key, check_name=name, passed=passed, description=description)

    return integrity


def examine(checkpoint: Path) -> Iterator[tuple[str, bool, str]]:
    """Each check's name, whether it passed, and its figure; all fail where the checkpoint does not verify."""
    try:
        manifest = checkpoints.verify(checkpoint)
        model = checkpoints.load_model(checkpoint)
    except CheckpointError as error:
        yield from ((name, False, str(error)) for name in CHECKS)
        return
    yield "verifies", True, f"{len(manifest.files)} files are as they were written"
    size = manifest.settings["size"]
    wanted, found = SIZES[size].parameters, sum(p.numel() for p in model.parameters())
    yield "parameter_count", found == wanted, f"{found:,} parameters; {size} has {wanted:,}"
    stored = (checkpoint / WEIGHTS).stat().st_size
    expected = BYTES_PER_PARAMETER * wanted
    fits = expected <= stored <= expected + HEADER_BYTES
    yield "file_size", fits, f"{stored:,} bytes of weights; {expected:,} and a header are expected"
    broken = [name for name, p in model.named_parameters() if not bool(torch.isfinite(p).all())]
    yield "finite", not broken, f"not finite: {', '.join(broken)}" if broken else "every weight is finite"


checks = [_checks(asset) for asset in assets]
