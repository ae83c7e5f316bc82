"""Microseconds per line to read and write HLX, against lark; and the slowest of many damaged lines.

    python -m benchmarks.parsing

Both parsers read the same composed lines in turns, in the same run, to the same values. A damaged line must not take
much longer for its length than others: time would then grow faster than the text.
"""

import random
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import TypeVar

from rich.console import Console
from rich.table import Table
from rich.text import Text

from benchmarks.lark_parsers import lark_parser
from hlx_model.composer.sampling import compose
from hlx_model.language import Format, HLXSyntaxError, Value, parse, render, same
from tests.support.damaged_lines import LINES, Mutant, described_mutants

T = TypeVar("T")

ROUNDS = 7
ENTRIES, LINES_A_FORMAT = 6_000, 2_000
MUTANTS = 100_000
FIRST, SUSPECTS, AGAIN = 3, 100, 20
"""Each mutant's time is the best of three; for the slowest of each format, the best of twenty more. This removes
interruptions by other work."""
SHORTEST = 64
"""A shorter text counts as this long, since every call has a fixed cost."""


def main() -> None:
    """Print both tables."""
    console = Console()
    for table in tables():
        console.print(table)


def tables() -> list[Table]:
    """Measure both tables, in about twenty seconds. Exit if lark reads other values."""
    return [speed_table(), slowest_table()]


def speed_table() -> Table:
    """Return medians of alternating rounds over composed lines; the ratio is the median of the ratios of the rounds."""
    table = Table(
        "format", "parse µs/line", "parse MB/s", "lark µs/line", "lark MB/s", "lark / parse", "render µs/line",
        "render MB/s", title=f"reading and writing composed lines, median of {ROUNDS} rounds",
    )  # fmt: skip
    for format, lines in composed_lines().items():
        lark = lark_parser(format)
        values = checked_values(format, lines, lark)
        found: dict[str, list[float]] = {"parse": [], "lark": [], "render": []}
        for _ in range(ROUNDS):
            found["parse"].append(seconds(partial(parse, format=format), lines))
            found["lark"].append(seconds(lark, lines))
            found["render"].append(seconds(partial(render, format=format), values))
        megabytes = sum(size(line) for line in lines) / 1e6
        cells = {}
        for name, times in found.items():
            median = statistics.median(times)
            cells[name] = (f"{median / len(lines) * 1e6:.1f}", f"{megabytes / median:.2f}")
        ratio = statistics.median(theirs / ours for theirs, ours in zip(found["lark"], found["parse"], strict=True))
        table.add_row(format, *cells["parse"], *cells["lark"], f"{ratio:.1f}", *cells["render"])
    return table


def slowest_table() -> Table:
    """Return the mutant of each format that took longest for its length, with the median of all."""
    table = Table(
        "format", "mutants", "median µs/kB", "slowest µs/kB", "its µs", "its bytes", "what was done to it",
        title=f"{MUTANTS:,} damaged lines",
        caption=f"A kB is 1,000 bytes of UTF-8; a text of fewer than {SHORTEST} counts as {SHORTEST}. "
        f"Times are the best of {FIRST}; those of the {SUSPECTS} slowest the best of {AGAIN}.",
    )  # fmt: skip
    first: dict[Format, list[tuple[float, Mutant]]] = {format: [] for format in Format}
    for mutant in described_mutants(LINES, MUTANTS, seed=0):
        first[mutant.format].append((cost(mutant, FIRST), mutant))
    for format, costs in first.items():
        costs.sort(key=lambda pair: pair[0], reverse=True)
        again = [(cost(mutant, AGAIN), mutant) for _, mutant in costs[:SUSPECTS]]
        worst, mutant = max(again, key=lambda pair: pair[0])
        length = size(mutant.text)
        table.add_row(
            format, f"{len(costs):,}", f"{statistics.median(pair[0] for pair in costs):,.0f}", f"{worst:,.0f}",
            f"{worst * max(length, SHORTEST) / 1000:,.0f}", f"{length:,}",
            Text(f"{', '.join(mutant.mutations)}: {mutant.text[:20]!a}…"),
        )  # fmt: skip
    return table


def composed_lines() -> dict[Format, list[str]]:
    """Return up to `LINES_A_FORMAT` lines of each format, from a composed document, with the same values in each."""
    found: dict[Format, list[str]] = {}
    document = compose(ENTRIES, seed=0).split("\n")
    for format in Format:
        label = f"{format}: "
        lines = list(dict.fromkeys(line.removeprefix(label) for line in document if line.startswith(label)))
        found[format] = random.Random(0).sample(lines, min(LINES_A_FORMAT, len(lines)))
    return found


def checked_values(format: Format, lines: Sequence[str], lark: Callable[[str], Value]) -> list[Value]:
    """Return the values of `lines`. Exit if lark reads another value: then there is nothing to compare."""
    values = [parse(line, format) for line in lines]
    for line, value in zip(lines, values, strict=True):
        if not same(lark(line), value):
            sys.exit(f"error: lark reads {format} {line!r} as {lark(line)!r}, and hlx_model.language as {value!r}")
    return values


def attempt(mutant: Mutant) -> None:
    """Read a text, valid or not."""
    with suppress(HLXSyntaxError):
        parse(mutant.text, mutant.format)


def cost(mutant: Mutant, times: int) -> float:
    """Return microseconds per kilobyte, the best of so many `times`."""
    best = min(seconds(attempt, [mutant]) for _ in range(times))
    return best * 1e6 / (max(size(mutant.text), SHORTEST) / 1000)


def size(text: str) -> int:
    """Return the bytes of UTF-8; a surrogate half counts three."""
    return len(text.encode("utf-8", "surrogatepass"))


def seconds(work: Callable[[T], object], items: Sequence[T]) -> float:
    """Return the seconds that `work` takes for all `items`, one after another."""
    began = time.perf_counter()
    for item in items:
        work(item)
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
