"""Compose, read, derive, validate and train on corpora of growing size: time and peak memory.

    make bench ARGS=corpus
    python -m benchmarks.corpus 1000000 [FOLDER]

Each stage runs in a process of its own, so that its peak memory is its own. With a number of entries, training follows:
phase 3, from kept corpora of that size, is stopped after 200 steps and resumed to 250, and compared with 250 steps in
one go. Corpora that FOLDER already has are not made again. Without a number come the parsers against lark, and the
slowest of 100,000 damaged lines (`benchmarks/parsing.py`).
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
from rich.console import Console
from rich.table import Table

from benchmarks import corpus_training, parsing
from benchmarks.sampling import sampling
from hlx_model.layout import EXAMPLES

SIZES = (10_000, 100_000, 1_000_000)


def compose(folder: Path, entries: int) -> None:
    """Do what `hlx corpus compose` does."""
    from hlx_model.composer.sampling import compose_lines
    from hlx_model.files import write_lines

    write_lines(folder / "corpus.md", compose_lines(entries, seed=0))


def read(folder: Path, entries: int) -> None:
    """Do what the asset `corpus_examples` does: read the document, split it, store it."""
    from hlx_model.corpus import read_corpus, store
    from hlx_model.layout import Artifacts

    corpus = read_corpus([folder / "corpus.md"])
    assert len(corpus.entries) == entries, corpus.quarantined[:3]
    store.store_examples(Artifacts.at(folder), corpus)


def derive(folder: Path, entries: int) -> None:
    """Do what the assets `english_corpus`, `hlx_corpus` and `paired_corpus` do."""
    from hlx_model.corpus import DERIVED, store
    from hlx_model.layout import Artifacts

    (examples,) = (folder / "corpora" / EXAMPLES).iterdir()
    for asset in DERIVED:
        store.store_derived(Artifacts.at(folder), asset, examples)


def validate(folder: Path, entries: int) -> None:
    """Do what the checks `schema` (pandera) and `coverage` of the four corpora do."""
    from hlx_assets.corpus import checks
    from hlx_model.corpus import DERIVED

    for asset in (EXAMPLES, *DERIVED):
        (directory,) = (folder / "corpora" / asset).iterdir()
        found = checks.schema_result(directory)
        assert found.passed, found.description
        checks.coverage_result(directory)


def statistics(folder: Path, entries: int) -> None:
    """Do what `hlx corpus statistics` does with stored examples."""
    from hlx_model.corpus import store
    from hlx_model.corpus.statistics import statistics as of
    from hlx_model.reporting.pages import statistics_markdown

    (examples,) = (folder / "corpora" / EXAMPLES).iterdir()
    statistics_markdown(of(store.load(examples)))


STAGES: dict[str, Callable[[Path, int], None]] = {
    stage.__name__: stage for stage in (compose, read, derive, validate, statistics)
}
NOTHING = "nothing"
"""A stage that only imports what the others do."""


def _cpu() -> float:
    both = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(used.ru_utime + used.ru_stime for used in both)


@contextmanager
def _peak_of_others() -> Iterator[list[int]]:
    """Yield the bytes of memory of all processes that this one has started, looked at while the block runs."""
    found = [0]

    def look() -> None:
        with suppress(psutil.NoSuchProcess):
            found.append(sum(child.memory_info().rss for child in psutil.Process().children()))

    with sampling(look, 0.1):
        yield found


def run_stage(name: str, folder: Path, entries: int) -> None:
    """Run one stage in this process, and print what it took.

    Prints `seconds`; `cpu`, the seconds of all processors; and `peak`, bytes of memory: the peak of this process, and
    that of all processes which it starts, looked at every tenth of a second.
    """
    if name in corpus_training.RUNS:
        print(json.dumps(corpus_training.run(name, folder)))
        return
    import hlx_assets.corpus.checks  # noqa: F401  the imports are not the stage's

    began, used = time.perf_counter(), _cpu()
    with _peak_of_others() as others:
        if name != NOTHING:
            STAGES[name](folder, entries)
    seconds, cpu = time.perf_counter() - began, _cpu() - used
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"seconds": seconds, "cpu": cpu, "peak": own + max(others)}))


def in_a_process(name: str, folder: Path, entries: int) -> dict[str, float]:
    """The figures that `run_stage` prints."""
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.corpus", name, str(folder), str(entries)]
    said = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    found: dict[str, float] = json.loads(said.splitlines()[-1])
    return found


def scale_table(sizes: tuple[int, ...]) -> Table:
    """Run every stage at every size, and return the table."""
    beyond = "KiB an entry beyond the imports"
    table = Table("stage", "entries", "seconds", "µs an entry", "of CPU", "peak GiB", beyond)
    found: dict[tuple[str, int], dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        imports = in_a_process(NOTHING, Path(folder), 0)["peak"]
    for entries in sizes:
        with tempfile.TemporaryDirectory() as folder:
            for name in STAGES:
                found[name, entries] = in_a_process(name, Path(folder), entries)
                print(f"{name}, {entries:,} entries: {found[name, entries]['seconds']:.1f} s", file=sys.stderr)
    for name in STAGES:
        for entries in sizes:
            seconds, peak = found[name, entries]["seconds"], found[name, entries]["peak"]
            table.add_row(
                name,
                f"{entries:,}",
                f"{seconds:,.1f}",
                f"{seconds / entries * 1e6:,.0f}",
                f"{found[name, entries]['cpu'] / entries * 1e6:,.0f}",
                f"{peak / 2**30:.2f}",
                f"{(peak - imports) / 1024 / entries:.2f}",
            )
    table.caption = f"the imports alone take {imports / 2**30:.2f} GiB"
    return table


def at_size(entries: int, folder: Path) -> None:
    """Print the tables of one size: the stages that make its corpora, and training on them."""
    console, stages = Console(), Table("stage", "entries", "seconds", "µs an entry", "of CPU", "peak GiB")
    done = {"compose": folder / "corpus.md", "read": folder / "corpora" / EXAMPLES}
    done |= dict.fromkeys(("derive", "validate"), folder / "corpora" / "paired_corpus")
    for name in [name for name in done if name == "validate" or not done[name].exists()]:
        found = in_a_process(name, folder, entries)
        each = (f"{found[kind] / entries * 1e6:.0f}" for kind in ("seconds", "cpu"))
        stages.add_row(name, f"{entries:,}", f"{found['seconds']:.1f}", *each, f"{found['peak'] / 2**30:.2f}")
    console.print(stages)
    console.print(corpus_training.table(entries, folder, lambda name: in_a_process(name, folder, entries)))


def main() -> None:
    """Print all tables."""
    console = Console()
    for table in (scale_table(SIZES), *parsing.tables()):
        console.print(table)


if __name__ == "__main__":
    if len(sys.argv) == 4:
        run_stage(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
    elif len(sys.argv) == 3:
        at_size(int(sys.argv[1]), Path(sys.argv[2]).absolute())
    elif len(sys.argv) == 2:
        with tempfile.TemporaryDirectory() as temporary:
            at_size(int(sys.argv[1]), Path(temporary))
    else:
        main()
