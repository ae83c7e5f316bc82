"""OpenAI's API: what its own client gets, and what is refused as the API refuses it."""

import threading
from collections.abc import Iterator
from typing import Any

import openai
import pytest
import uvicorn

from hlx_model.model.generation import MAX_PROMPT
from hlx_model.serving.app import create_app
from hlx_model.serving.listening import listen
from hlx_model.serving.service import Limits, Service
from tests.serving.test_routes import alone
from tests.support.curriculum import Curriculum
from tests.support.waiting import wait_for

PROMPT = "[LC-T] Sort all users → "


@pytest.fixture(scope="module")
def client(curriculum: Curriculum) -> Iterator[openai.OpenAI]:
    service = Service(None, curriculum.root / "training", limits=Limits())
    with listen("127.0.0.1", 0, "another port") as listener:
        server = uvicorn.Server(uvicorn.Config(create_app(service), log_level="warning"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        wait_for(lambda: server.started)
        address = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
        with openai.OpenAI(base_url=address, api_key="none", max_retries=0) as made:
            yield made
        server.should_exit = True
        thread.join()


def test_a_chat_translates_its_last_message(client: openai.OpenAI, curriculum: Curriculum) -> None:
    expected = alone(curriculum, PROMPT, "[HLXL] Sort all users → ")
    line = expected[0]
    english = alone(curriculum, f"[English] {line} → ")[0]
    chats: list[tuple[list[Any], str]] = [
        ([{"role": "user", "content": "Sort all users"}], expected[1]),
        ([{"role": "user", "content": "[LC-T] Sort all users"}], expected[0]),
        ([{"role": "user", "content": "[lc-t] Sort all users"}], expected[0]),
        ([{"role": "system", "content": " lc-t\n"}, {"role": "user", "content": "Sort all users"}], expected[0]),
        ([{"role": "user", "content": line}], english),
        ([{"role": "user", "content": [{"type": "text", "text": "Sort all users"}]}], expected[1]),
        (
            [{"role": "user", "content": "Count"}, {"role": "assistant", "content": "5"},
             {"role": "user", "content": "Sort all users"}],
            expected[1],
        ),
    ]  # fmt: skip
    for messages, answer in chats:
        reply = client.chat.completions.create(model="hlx-brain", messages=messages)
        assert (reply.choices[0].message.content, reply.choices[0].finish_reason) == (answer, "stop")
    assert reply.usage is not None and reply.usage.completion_tokens == len(expected[1])
    assert reply.model_extra is not None and reply.model_extra["verdict"] == "warn"


def test_a_completion_continues_texts_as_they_are(client: openai.OpenAI, curriculum: Curriculum) -> None:
    expected = alone(curriculum, PROMPT, "Sort")
    reply = client.completions.create(model="hlx-brain", prompt=[PROMPT, "Sort"])
    assert [choice.text for choice in reply.choices] == expected
    short = client.completions.create(model=reply.model, prompt=PROMPT, max_tokens=5)
    assert (short.choices[0].text, short.choices[0].finish_reason) == (expected[0][:5], "length")
    stopped = client.completions.create(model="hlx-brain", prompt=PROMPT, stop=["=@", "nowhere"])
    assert (stopped.choices[0].text, stopped.choices[0].finish_reason) == (expected[0].partition("=@")[0], "stop")


def test_a_stream_has_the_same_text_piece_by_piece(client: openai.OpenAI, curriculum: Curriculum) -> None:
    (expected,) = alone(curriculum, PROMPT)
    e = expected
    for stop in ([], ["=@"], [e], [e[:9]], [e[1:4]], [e[-1]], [e + "x"], [e[5:], e[:2] + "x"]):
        text = min((expected.partition(cut)[0] for cut in stop), key=len, default=expected)
        chunks = list(
            client.completions.create(
                model="hlx-brain", prompt=PROMPT, stream=True, stop=stop, stream_options={"include_usage": True}
            )
        )
        assert "".join(choice.text for chunk in chunks for choice in chunk.choices) == text
        assert chunks[-2].choices[0].finish_reason == "stop" and chunks[-1].usage is not None
    parts = client.chat.completions.create(
        model="hlx-brain", messages=[{"role": "user", "content": "[LC-T] Sort all users"}], stream=True
    )
    deltas = [choice for chunk in parts for choice in chunk.choices]
    assert deltas[0].delta.role == "assistant" and deltas[-1].finish_reason == "stop"
    assert "".join(choice.delta.content or "" for choice in deltas) == expected


def test_a_seed_decides_what_is_sampled(client: openai.OpenAI) -> None:
    def sampled(seed: int) -> list[str]:
        reply = client.completions.create(
            model="hlx-brain", prompt=["a", "a"], temperature=1.0, seed=seed, max_tokens=40
        )
        return [choice.text for choice in reply.choices]

    assert sampled(1) == sampled(1) != sampled(2)
    assert sampled(1)[0] != sampled(1)[1] == sampled(2)[0], "the second text has the next seed"


@pytest.mark.parametrize("temperature", [1e-30, 1e-38, 1e-45, 1e-300, 5e-324])
def test_a_low_temperature_takes_the_best(client: openai.OpenAI, curriculum: Curriculum, temperature: float) -> None:
    reply = client.completions.create(model="hlx-brain", prompt=PROMPT, temperature=temperature)
    assert [reply.choices[0].text] == alone(curriculum, PROMPT)


def test_the_model_has_two_names_and_others_are_not_found(client: openai.OpenAI) -> None:
    names = [model.id for model in client.models.list()]
    assert names[0] == "hlx-brain" and "/phase3_" in names[1]
    assert client.models.retrieve("hlx-brain").owned_by == "hlx-brain"
    with pytest.raises(openai.NotFoundError, match="is not served here") as error:
        client.completions.create(model="gpt-5", prompt="a")
    assert error.value.code == "model_not_found" and error.value.param == "model"


@pytest.mark.parametrize(
    "parameters, param, said",
    [
        ({"n": 2}, "n", "'n' is not offered here"),
        ({"logprobs": 3}, "logprobs", "'logprobs' is not offered here"),
        ({"top_p": 0.5}, "top_p", "'top_p' is not offered here"),
        ({"extra_body": {"tokens": 3}}, "tokens", "'tokens' is no parameter of this route"),
        ({"temperature": 3}, "temperature", "less than or equal to 2"),
        ({"max_tokens": 0}, "max_tokens", "greater than or equal to 1"),
        ({"stop": [""]}, "stop", "none of them empty"),
        ({"stop": ["a"] * 5}, "stop", "at most 4 texts"),
        ({"prompt": []}, "prompt", "an empty list"),
        ({"prompt": [[1, 2]]}, "prompt", "should be a valid string"),
        ({"prompt": "ü"}, "prompt", "characters that the model does not know: 'ü'"),
        ({"prompt": "a" * (MAX_PROMPT + 1)}, "prompt", f"has {MAX_PROMPT + 1} tokens"),
    ],
)
def test_what_is_not_offered_is_refused_as_the_api_does(
    client: openai.OpenAI, parameters: dict[str, Any], param: str, said: str
) -> None:
    with pytest.raises(openai.BadRequestError, match=said) as error:
        client.completions.create(**{"model": "hlx-brain", "prompt": "a", **parameters})
    assert error.value.type == "invalid_request_error" and str(error.value.param).startswith(param)


@pytest.mark.parametrize(
    "messages, said",
    [
        ([], "the last message must be the user's"),
        ([{"role": "assistant", "content": "Sort"}], "the last message must be the user's"),
        ([{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Sort"}], "follows no instructions"),
        ([{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}], "may contain text alone"),
        ([{"role": "user", "content": None}], "text is empty"),
        ([{"role": "user", "content": "[English] Sort"}], "text is no line of HLX"),
        ([{"role": "user", "content": "[Klingon] Sort"}], "its tag is 'Klingon': choose one of"),
        ([{"role": "user", "content": "[LC-R]"}], "text is empty"),
    ],
)
def test_a_chat_that_cannot_be_translated_is_refused(client: openai.OpenAI, messages: list[Any], said: str) -> None:
    with pytest.raises(openai.BadRequestError, match=said) as error:
        client.chat.completions.create(model="hlx-brain", messages=messages)
    assert error.value.param == "messages"


def test_parameters_that_change_nothing_are_accepted(client: openai.OpenAI) -> None:
    reply = client.chat.completions.create(
        model="hlx-brain", messages=[{"role": "user", "content": "Sort"}], n=1, top_p=1, tools=[], user="me",
        response_format={"type": "text"}, logprobs=False,
    )  # fmt: skip
    assert reply.choices[0].message.content
