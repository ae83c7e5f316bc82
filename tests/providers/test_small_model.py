"""A real small model through the adapter of OpenAI's protocol: its answers are useless, all around them is right."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hlx_model.providers.client import ProviderClient
from hlx_model.providers.files import ProviderFiles
from hlx_model.providers.ledger import Ledger
from hlx_model.providers.prices import set_price
from hlx_model.providers.question import Answer, Choice, Refused, Truncated
from tests.support.providers import OneKey, a_question
from tests.support.small_model import NAME, missing


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the model's server."""
    log = (tmp_path_factory.mktemp("model") / "log").open("wb")
    with log, subprocess.Popen(
        [sys.executable, "-m", "tests.support.small_model"], stdout=subprocess.PIPE, stderr=log
    ) as process:  # fmt: skip
        assert process.stdout is not None
        found = process.stdout.readline().decode().strip()
        assert found.startswith("http://127.0.0.1:"), Path(log.name).read_text(errors="replace")[-2000:]
        yield found
        process.kill()


@pytest.mark.slow
@pytest.mark.skipif(missing() is not None, reason=f"{missing()}")
def test_a_real_model_answers_by_the_schema_and_pays_by_its_tokens(
    address: str, files: ProviderFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HLX_PROVIDER_HOSTS", f"openai={address}/v1")
    client = ProviderClient(files, OneKey())
    unpriced = client.ask(a_question("openai", model=NAME))
    assert isinstance(unpriced, Refused) and not unpriced.asked
    price = set_price(files, Choice("openai", NAME), "1", "2")
    checked = client.check("openai")
    assert checked.valid and NAME in checked.models

    answer = client.ask(a_question("openai", model=NAME), keep=True)
    assert isinstance(answer, Answer) and answer.usage is not None and answer.answered_by == NAME
    assert answer.content["verdict"] in ("watch", "stop") and answer.content["step"] >= 1
    assert 20 < answer.usage.input_tokens < 400 and 5 < answer.usage.output_tokens <= 300
    assert answer.cost == price.cost(answer.usage.input_tokens, answer.usage.output_tokens)
    again = client.ask(a_question("openai", model=NAME), keep=True)
    assert isinstance(again, Answer) and again.kept and again.content == answer.content

    short = client.ask(a_question("openai", model=NAME, max_tokens=3))
    assert isinstance(short, Truncated) and short.usage is not None and short.usage.output_tokens == 3
    assert Ledger(files).spending().booked == answer.cost + short.cost
    print(f"{answer.content}, {answer.usage}, {answer.cost} nanodollars, {answer.seconds} s; then {short.text!r}")
