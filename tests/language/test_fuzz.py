"""A damaged line gives a value or a syntax error, and nothing else."""

import pytest

from hlx_model.language import Format, HLXSyntaxError, parse, render, same
from tests.support.damaged_lines import LINES, mutants


def test_the_same_seed_gives_the_same_mutants() -> None:
    first, again, other = (list(mutants(LINES, 200, seed)) for seed in (1, 1, 2))
    assert first == again != other


@pytest.mark.parametrize("count", [3_000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_a_damaged_line_is_a_value_or_a_syntax_error(count: int) -> None:
    read = 0
    for format, text in mutants(LINES, count, seed=count):
        try:
            value = parse(text, format)
        except HLXSyntaxError as error:
            assert 0 <= error.position <= len(text)
            before = text[: error.position].split("\n")
            assert (error.line, error.column) == (len(before), len(before[-1]) + 1)
            assert str(error).splitlines() == [str(error)]
            continue
        read += 1
        for target in Format:
            canonical = render(value, target)
            assert same(parse(canonical, target), value)
            assert render(parse(canonical, target), target) == canonical
    # Both cases occur: some damage leaves text that can be read.
    assert count * 0.05 < read < count * 0.5
