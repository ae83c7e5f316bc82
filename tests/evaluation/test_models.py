"""The models of the tests write what they are told to."""

from hlx_model.model.generation import generate
from tests.support.models import Writer


def test_a_writer_writes_what_it_is_told_to() -> None:
    answers = {"a": "first", "longer prompt": "", "b c": "🜊1🜂"}
    prompts = list(answers)
    assert generate(Writer(answers.__getitem__), prompts) == list(answers.values())
    assert generate(Writer(answers.__getitem__), prompts, temperature=1.0) == list(answers.values())
