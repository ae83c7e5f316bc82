"""`hlx validate`: evaluate a checkpoint, an exported folder or a `.pt` file. Exit code 0: pass; 1: fail; 2: warn."""

from pathlib import Path
from typing import Annotated

from typer import Exit, Option

from hlx_model.cli.options import NAMED, Device, Directory, option, training_folder
from hlx_model.cli.show import echo, echo_json, print_table
from hlx_model.evaluation.evaluate import evaluate
from hlx_model.evaluation.fitness import Requirements
from hlx_model.evaluation.portable import evaluate_portable, is_portable, report_beside
from hlx_model.files import json_text
from hlx_model.layout import PAGE, Artifacts
from hlx_model.model.device import device_of
from hlx_model.outputs import STDOUT, require_output, write_output
from hlx_model.phases import ANY_PHASE
from hlx_model.profiles import PROFILES
from hlx_model.provenance.lookup import checkpoint_of
from hlx_model.reporting.conclusion import conclusion
from hlx_model.reporting.views import evaluation_line

EXIT_CODES = {"pass": 0, "fail": 1, "warn": 2}


def validate_command(
    named: Annotated[
        str, option(f"{NAMED} Or an exported folder, or a .pt file with a state dict.", True, "--checkpoint")
    ],
    corpus: Annotated[
        list[Path] | None,
        option("What to evaluate a folder or a .pt on: documents, or the directory of a kept corpus."),
    ] = None,
    evaluation: Annotated[
        list[Path] | None,
        option(
            "An evaluation document: sentences that no model is trained on.",
            "$HLX_EVAL, else the project's own if the model learned composed entries",
            "--eval",
        ),
    ] = None,
    profile: Annotated[
        str | None, option(f"Whose limits apply: {' or '.join(PROFILES)}.", "$HLX_PROFILE, or quick")
    ] = None,
    require: Annotated[
        list[str] | None,
        option("GATE=RATE: the rate that a gate requires, from 0 to 1. A lower one warns.", "the profile's"),
    ] = None,
    phase: Annotated[int | None, option(f"The phase whose gates apply to a .pt: {ANY_PHASE}.")] = None,
    heads: Annotated[int | None, option("Attention heads of a .pt.", "by the shapes of its weights")] = None,
    output: Annotated[Path | None, option("A second place for the report, as JSON; - as --json.")] = None,
    device: Device = None,
    checkpoint_dir: Directory = None,
    as_json: Annotated[bool, Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Evaluate a checkpoint and write its report and verdict. Exit code 0: pass; 1: fail; 2: warn.

    A checkpoint of hlx train is evaluated on the corpora that its manifest names. A folder of hlx export needs
    --corpus, a .pt file --corpus and --phase. Their report is written beside them, into NAME.report; of a .pt file only
    the weights are read.
    """
    path = Path(named)
    if not path.is_file():
        path = checkpoint_of(named, training_folder(checkpoint_dir, required=False))
    portable, place = is_portable(path), None
    if output is not None:
        own = report_beside(path) if portable else Artifacts.of_checkpoint(path).report(path)
        place = require_output(output, inputs=[path, *(corpus or []), *(evaluation or [])], own=own)
    if not portable and (corpus or phase is not None or heads is not None):
        raise ValueError(f"{path}: its manifest names its corpora: omit --corpus, --phase and --heads")
    requirements = Requirements(profile, dict(map(_rate, require or ())))
    if portable:
        result = evaluate_portable(
            path, corpus or (), phase, heads=heads, device=device_of(device), documents=evaluation or (),
            requirements=requirements,
        )  # fmt: skip
    else:
        result = evaluate(path, device_of(device), evaluation or (), requirements=requirements)
    if place is not None:
        write_output(place, [json_text(result.report.to_json())])
    if as_json and place != STDOUT:
        echo_json(result.report.to_json())
    elif place != STDOUT:
        echo(f"{path.absolute().name}: {result.verdict.outcome}")
        echo(conclusion(result.report))
        gates = result.verdict.gates
        print_table([{"gate": gate.name, "outcome": gate.outcome, "figure": gate.reason} for gate in gates], gap=1)
        if found := result.report.evaluation:
            echo(evaluation_line(found))
        if note := result.report.evaluation_note:
            echo(note)
        echo(f"report: {result.directory / PAGE}")
    if result.judged_anew:
        echo(result.judged_anew, err=True)
    raise Exit(EXIT_CODES[result.verdict.outcome])


def _rate(text: str) -> tuple[str, float]:
    """Return the gate and the rate of `GATE=RATE`."""
    gate, _, rate = text.partition("=")
    try:
        return gate.strip(), float(rate)
    except ValueError:
        raise ValueError(f"--require is {text!r}: write it as exact_match_to_hlx=0.4") from None
