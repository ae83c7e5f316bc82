"""What another document defines otherwise than the composer is not composed beside it."""

from pathlib import Path

import pytest

from hlx_model.composer.loader import operations
from hlx_model.composer.reading import defined_otherwise
from hlx_model.composer.sampling import compose
from hlx_model.corpus.documents import keep_documents, kept_documents
from hlx_model.language import Format, parse
from hlx_model.layout import Artifacts


def silenced(*entries: tuple[str, str]) -> set[str]:
    """The first phrasing of each operation that the entries define otherwise."""
    names = defined_otherwise((sentence, parse(value, Format.HLXL)) for sentence, value in entries)
    assert names <= {operation.name for operation in operations()}
    return {operation.phrasings[0][0] for operation in operations() if operation.name in names}


@pytest.mark.parametrize(
    ("entries", "left_out"),
    [
        # Another verb, another contract, a text where the composer has a reference.
        ([("Merge cats with dogs", '{1000: {@0: "combine", @1: &h_cats, @2: &h_dogs}}')],
         {"Merge the {x} with the {y}"}),
        ([("Integer literal seven", "{30: {@0: 7}}")], {"An integer literal {n:{_style}}"}),
        ([("Reverse the kumquats", '{1000: {@0: "reverse", @1: "kumquats"}}')], {"Reverse the {x}"}),
        # The same, and the same with other names: nothing is left out.
        ([("Merge cats with dogs", '{1000: {@0: "merge", @1: &h_cats, @2: &h_dogs}}')], set()),
        ([("Merge source with target", '{1000: {@0: "merge", @1: &h_src, @2: &h_dest}}')], set()),
        ([("Number seven", "8")], set()),
        # A sentence that the composer does not say.
        ([("Kumquats forever", "[1, 2]")], set()),
        # As many agree as do not; and more do not.
        ([("Reverse the cats", '{1000: {@0: "flip", @1: &h_cats}}'),
          ("Reverse the dogs", '{1000: {@0: "reverse", @1: &h_dogs}}')], set()),
        ([("Reverse the cats", '{1000: {@0: "flip", @1: &h_cats}}'),
          ("Flip the cats", '{1000: {@0: "flip", @1: &h_cats}}'),
          ("Reverse the dogs", '{1000: {@0: "reverse", @1: &h_dogs}}')], {"Reverse the {x}"}),
    ],
)  # fmt: skip
def test_operations_that_entries_define_otherwise_are_found(entries: list[tuple[str, str]], left_out: set[str]) -> None:
    assert silenced(*entries) == left_out


def test_they_are_not_composed_beside_the_document(tmp_path: Path) -> None:
    document = tmp_path / "mine.md"
    document.write_text('English: Flatten the kumquat\nHLXL: {1000: {@0: "press", @1: &h_kumquat}}\n', encoding="utf-8")
    directory = keep_documents(Artifacts(tmp_path / "training"), [document], composed=3000)
    *_, composed = kept_documents(directory)
    text = (directory / composed.file).read_text(encoding="utf-8")
    assert '"flatten"' in compose(3000, seed=0) and '"flatten"' not in text
    assert text.count("English: ") == 3000
    assert composed.source.endswith(", without the sentences above and the operations that they define otherwise (1)")
