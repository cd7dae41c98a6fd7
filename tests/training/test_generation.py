"""Generation by the anchor: padding, limits, randomness of its own."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from catagent.errors import ContextOverflowError, RequestError
from catagent.models.client import Completion, ModelRequest
from catagent.training.generation import Generator
from catagent.training.local import Sampling
from tests.training import tiny


def generator(weights: Any, *, side: str = "left", **options: Any) -> Generator:
    model = tiny.model(weights=weights).eval()

    @contextlib.contextmanager
    def given() -> Iterator[Any]:
        yield model

    words = tiny.tokenizer()
    words.padding_side = side
    settings: dict[str, Any] = {
        "chat": True, "template": {}, "context": 512, "at_once": 8, "seed": 0,
        "sampling": Sampling(tokens=8, temperature=0), **options,
    }  # fmt: skip
    return Generator(given, words, **settings)


def request(text: str, n: int = 1, **params: Any) -> ModelRequest:
    return ModelRequest("anchor", [{"role": "user", "content": text}], n, params)


def texts(answers: list[Completion | Exception]) -> list[str | None]:
    return [choice.text for answer in answers if isinstance(answer, Completion) for choice in answer.choices]


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_batch_says_what_each_prompt_alone_says(taught: Any, side: str) -> None:
    prompts = ["1 + 3?", "5 + 3? and judge", "2 + 3? " * 6]
    together = texts(generator(taught, side=side).serve([request(p) for p in prompts]))
    alone = [texts(generator(taught).serve([request(p)]))[0] for p in prompts]
    assert together == alone
    assert all(text and text.startswith("\\boxed") for text in together)


def test_requests_sampled_differently_are_answered_in_their_order(taught: Any) -> None:
    made = generator(taught)
    answers = made.serve(
        [request("1 + 3?", max_tokens=2), request("2 + 3?", n=3, temperature=1.0), request("1 + 3?")]
    )
    assert [len(a.choices) for a in answers if isinstance(a, Completion)] == [1, 3, 1]
    first = answers[0]
    assert isinstance(first, Completion)
    assert first.choices[0].finish_reason == "length"
    assert first.completion_tokens == 2
    last = answers[2]
    assert isinstance(last, Completion)
    assert last.choices[0].finish_reason == "stop"


def test_a_stop_text_ends_a_sample_and_is_not_part_of_it(taught: Any) -> None:
    whole = texts(generator(taught).serve([request("1 + 3?")]))[0]
    assert whole
    assert texts(generator(taught).serve([request("1 + 3?", stop="}")])) == [whole.partition("}")[0]]


def test_what_does_not_fit_says_how_large_the_window_is(taught: Any) -> None:
    short, long = generator(taught, context=64).serve([request("1 + 3?"), request("word " * 200)])
    assert isinstance(short, Completion)
    assert isinstance(long, ContextOverflowError)
    assert long.limit == 64


def test_a_parameter_that_cannot_be_honoured_is_refused(taught: Any) -> None:
    (answer,) = generator(taught).serve([request("1 + 3?", response_format={"type": "json_object"})])
    assert isinstance(answer, RequestError)
    assert "response_format" in str(answer)


def test_the_anchor_draws_from_a_generator_of_its_own(taught: Any) -> None:
    made = generator(taught, sampling=Sampling(tokens=8, temperature=1.0))
    torch.manual_seed(7)
    before = torch.get_rng_state()
    made.begin("train:1:0")
    first = texts(made.serve([request("1 + 3?", n=8)]))
    assert torch.equal(before, torch.get_rng_state())
    torch.rand(5)
    made.begin("train:1:0")
    assert texts(made.serve([request("1 + 3?", n=8)])) == first
    made.begin("train:2:0")
    assert texts(made.serve([request("1 + 3?", n=8)])) != first


def test_a_process_with_nothing_to_ask_takes_part_in_each_call(taught: Any) -> None:
    made = generator(taught, agree=lambda mine: max(mine, 2))
    calls = []
    real = made._generated
    made._generated = lambda chunk: calls.append(len(chunk)) or real(chunk)  # type: ignore[method-assign,func-returns-value]
    assert made.serve([]) == []
    assert texts(made.serve([request("1 + 3?")]))
    assert calls == [0, 0, 1, 0]


def test_a_text_model_gets_the_text_as_it_is(taught: Any) -> None:
    made = generator(taught, chat=False)
    assert made.encode([{"role": "user", "content": "1 + 3?"}]) == tiny.tokenizer()("1 + 3?")["input_ids"]


def test_an_open_message_of_the_assistant_is_gone_on_with(taught: Any) -> None:
    made = generator(taught)
    said = made.encode([{"role": "user", "content": "1 + 3?"}, {"role": "assistant", "content": "It is"}])
    assert tiny.tokenizer().decode(said).endswith("assistant\nIt is")
