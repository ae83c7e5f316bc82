"""The production schedule on a GPU: speed of each phase, share of the device's peak, exact match.

    python -m benchmarks.gpu_curriculum                                                  # 100m, 5k and 20k entries
    python -m benchmarks.gpu_curriculum --size tiny --entries 300 --epochs-share 0.02    # on a CPU, to try it

All three phases are trained and evaluated as `hlx` does, on a composed corpus of each size, 200 + 200 + 50 epochs
(`--epochs-share` of them). It needs torch, pyarrow, safetensors, typer and rich, and no Dagster.

A batch of the profile, 4 × 256 tokens, keeps an 8 GB GPU busy. On a large one each kernel ends before the next is
launched. If the device has more than 40 GB, a batch has 64 × 256 tokens at the profile's learning rate: 16 times fewer
steps, and exact match shows what that costs. `--batch-size 4` is exactly the profile.

The share of the peak counts 6 operations per matrix weight and token, and those of causal attention, but not the second
forward pass of gradient checkpointing. The peak is this device's own rate for one large product in bf16, measured
first; an H200 has nominally 989 TFLOP/s (dense) and reaches about 790. `benchmarks/results/gpu_curriculum.json` is
written on a GPU only.
"""

import json
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from rich.console import Console
from rich.table import Table

from hlx_model.checkpoints.seal import verify_checkpoint
from hlx_model.composer.sampling import compose
from hlx_model.evaluation.evaluate import evaluate
from hlx_model.model.device import device_of
from hlx_model.model.sizes import SIZES
from hlx_model.model.tokenizer import VOCABULARY_SIZE
from hlx_model.profiles import PROFILES, Profile
from hlx_model.runs.metrics import read_metrics
from hlx_model.training.execution import ExecutionConfig
from hlx_model.training.loop import train
from hlx_model.training.memory import GIB, layer_matrix_numel
from hlx_model.training.plan import Overrides, TrainingPlan, plan_training

PRODUCTION = PROFILES["production"]
NOMINAL = {"H200": 989.0, "H100": 989.0, "A100": 312.0}
"""TFLOP/s in dense bf16, by the makers' data sheets."""
LARGE_GPU = 40 * 10**9
RESULT = Path(__file__).parent / "results" / "gpu_curriculum.json"


@dataclass(frozen=True)
class Phase:
    """The figures of one phase."""

    entries: int
    phase: int
    epochs: int
    steps: int
    tokens_per_second: float
    """Median of the recorded values."""
    tflops: float
    peak_bytes: int | None
    seconds: float
    stopped: str | None
    failed: list[str]


@dataclass(frozen=True)
class Device:
    """The device, and its rates in TFLOP/s, bf16."""

    name: str
    measured: float
    nominal: float | None


def device_at_hand(device: str) -> Device:
    """Return the device with its rate for one large product, the best of several."""
    side, rounds = (8192, 20) if device == "cuda" else (1024, 5)
    a = torch.randn(side, side, dtype=torch.bfloat16, device=device)
    best = float("inf")
    for _ in range(rounds):
        _finish(device)
        began = time.perf_counter()
        a @ a
        _finish(device)
        best = min(best, time.perf_counter() - began)
    name = torch.cuda.get_device_name() if device == "cuda" else "CPU"
    nominal = next((rate for maker, rate in NOMINAL.items() if maker in name), None)
    return Device(name, 2 * side**3 / best / 1e12, nominal)


def _finish(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def operations_a_token(plan: TrainingPlan) -> float:
    """Return the floating-point operations of a forward and a backward pass, by the length of the texts."""
    a = SIZES[plan.settings.size]
    matrices = layer_matrix_numel(a) + a.d_model * VOCABULARY_SIZE
    lengths = [len(text) + 1 for text in plan.train]
    seen = sum(n * (n + 1) / 2 for n in lengths) / sum(lengths)  # positions that a token attends to
    return 6.0 * matrices + 12.0 * a.layers * a.d_model * seen


def shortened(profile: Profile, share: float) -> Profile:
    """Return the profile with a share of its epochs."""
    schedules = {p: replace(s, epochs=max(1, round(share * s.epochs))) for p, s in profile.schedules.items()}
    return replace(profile, schedules=schedules)


def curriculum(
    profile: Profile, entries: int, execution: ExecutionConfig, root: Path
) -> tuple[list[Phase], dict[str, Any]]:
    """Train and evaluate the three phases; return the figures of each, and those of the last report."""
    document, parent, phases = root / "composed.md", None, []
    document.write_text(compose(entries, profile.seed), encoding="utf-8")
    for phase in (1, 2, 3):
        plan = plan_training(
            phase, profile, Overrides(), corpus=[document], training=root / "training",
            parent=verify_checkpoint(parent) if parent else None, execution=execution,
        )  # fmt: skip
        if execution.device == "cuda":
            torch.cuda.reset_peak_memory_stats()
        began = time.monotonic()
        outcome = train(plan, execution=execution)
        seconds = time.monotonic() - began
        parent = outcome.checkpoint
        judgement = evaluate(parent)
        rates = [r["tokens_per_second"] for r in read_metrics(plan.directory) if r["tokens_per_second"]]
        rate = statistics.median(rates) if rates else 0.0
        phases.append(
            Phase(
                entries, phase, plan.settings.epochs, outcome.manifest.step, rate,
                rate * operations_a_token(plan) / 1e12,
                torch.cuda.max_memory_allocated() if execution.device == "cuda" else None,
                seconds, outcome.manifest.stopped,
                [gate.name for gate in judgement.verdict.gates if gate.outcome == "fail"],
            )
        )  # fmt: skip
    return phases, judgement.report.to_json()["figures"]


def tabulate(title: str, phases: Sequence[Phase], device: Device) -> Table:
    """Return a table with a row for each phase."""
    shares = ("of the measured", *(("of the nominal",) if device.nominal else ()))
    table = Table(
        "entries", "phase", "epochs", "steps", "tokens/s", "TFLOP/s", *shares, "GiB", "s", "stopped or failed",
        title=title,
    )  # fmt: skip
    for p in phases:
        peaks = (device.measured, *((device.nominal,) if device.nominal else ()))
        table.add_row(
            f"{p.entries:,}", str(p.phase), str(p.epochs), f"{p.steps:,}", f"{p.tokens_per_second:,.0f}",
            f"{p.tflops:.3g}", *(f"{p.tflops / peak:.0%}" for peak in peaks),
            f"{p.peak_bytes / GIB:.1f}" if p.peak_bytes else "-", f"{p.seconds:.0f}",
            p.stopped or ", ".join(p.failed) or "no",
        )  # fmt: skip
    return table


def measure(
    size: Annotated[str, typer.Option()] = PRODUCTION.size,
    entries: Annotated[list[int] | None, typer.Option(help="Repeat it for several.", show_default="5000 20000")] = None,
    more: Annotated[list[int] | None, typer.Argument(help="More numbers of entries.")] = None,
    epochs_share: Annotated[float, typer.Option(help="Of 200 + 200 + 50 epochs.")] = 1.0,
    batch_size: Annotated[int | None, typer.Option(show_default="64 above 40 GB, else 4")] = None,
    compile: Annotated[bool, typer.Option("--compile")] = False,
    gradient_checkpointing: Annotated[bool, typer.Option("--gradient-checkpointing")] = False,
) -> None:
    """Train and evaluate the production curriculum; print speed and exact match."""
    execution = ExecutionConfig(device_of(), gradient_checkpointing=gradient_checkpointing, compile=compile)
    large = execution.device == "cuda" and torch.cuda.get_device_properties(0).total_memory > LARGE_GPU
    profile = replace(PRODUCTION, size=size, batch_size=batch_size or (64 if large else PRODUCTION.batch_size))
    device, console = device_at_hand(execution.device), Console(width=160)
    nominal = f", {device.nominal:g} nominal, of which {0.8 * device.nominal:.0f} can be had" if device.nominal else ""
    console.print(f"{device.name}: {device.measured:.3g} TFLOP/s measured in bf16{nominal}")
    phases: list[Phase] = []
    matches: dict[int, dict[str, float]] = {}
    for number in [*(entries or ([] if more else [5000, 20_000])), *(more or [])]:
        with tempfile.TemporaryDirectory() as root:
            found, figures = curriculum(shortened(profile, epochs_share), number, execution, Path(root))
        phases += found
        matches[number] = {way: figures[way]["exact_match"] for way in ("all_to_hlx", "all_to_english")}
    title = f"{size}, batches of {profile.batch_size} × {profile.seq_length} tokens, torch {torch.__version__}"
    console.print(tabulate(title, phases, device))
    for number, match in matches.items():
        ways = f"{match['all_to_hlx']:.1%} to HLX, {match['all_to_english']:.1%} to English"
        console.print(f"{number:,} entries: exact match {ways}")
    if execution.device == "cuda":
        RESULT.parent.mkdir(exist_ok=True)
        content = {
            "device": asdict(device), "torch": torch.__version__, "size": size, "batch_size": profile.batch_size,
            "epochs_share": epochs_share, "execution": asdict(execution), "phases": [asdict(p) for p in phases],
            "exact_match": matches,
        }  # fmt: skip
        RESULT.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def main() -> None:
    """Run the command with its defaults, if there is a GPU: on a CPU it would take weeks."""
    if device_of() == "cuda":
        measure()
    else:
        Console().print("gpu_curriculum: torch sees no GPU here; `python -m benchmarks.gpu_curriculum` tries it small")


if __name__ == "__main__":
    typer.run(measure)
