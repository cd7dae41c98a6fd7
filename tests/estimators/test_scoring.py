"""Scoring given text: over the wire as vLLM does it, and on the real engine."""

from __future__ import annotations

import math

import pytest

from catagent.cat import CaT
from catagent.errors import ConfigError, EstimationError, RequestError
from catagent.models.catalogue import installed
from catagent.models.client import Choice, Completion, ModelRequest, TokenLogprob
from catagent.models.embedded import EmbeddedClient
from catagent.models.fast_lane import FastLane
from tests.cast import cat_on
from tests.doubles import ProviderDouble
from tests.estimators.scoring import ScoringDouble

MODEL = "smollm2-135m"
AGREEING = ["the sum is 4 so \\boxed{4}", "so the sum is 4 \\boxed{4}", "the sum so is 4 \\boxed{4}"]
STRANGE = "perhaps purple elephants dance \\boxed{9}"


@pytest.mark.parametrize("beginning", ["", "<s>"])
async def test_an_echoed_prompt_is_cut_to_the_tokens_of_the_text(beginning: str) -> None:
    with ScoringDouble(beginning=beginning) as double:
        lane = FastLane(double.base_url)
        completion = await lane.score("m", "one two", " two three")
        await lane.aclose()
    found = completion.choices[0].logprobs
    assert found is not None
    assert [t.token for t in found] == [" two", " three"]
    shift = 1 if beginning else 0
    assert [t.logprob for t in found] == pytest.approx(
        [math.log(2 / (52 + shift)), math.log(1 / (53 + shift))]
    )
    assert completion.prompt_tokens == 4 + shift


async def test_a_token_across_the_border_counts_to_the_text() -> None:
    with ScoringDouble() as double:
        lane = FastLane(double.base_url)
        completion = await lane.score("m", "one tw", "o three")
        await lane.aclose()
    assert [t.token for t in completion.choices[0].logprobs or ()] == [" two", " three"]


async def test_the_rollout_that_the_others_predict_best_is_taken() -> None:
    with ScoringDouble() as double:
        async with cat_on(double) as cat:
            solution = await cat.score(
                "q", [STRANGE, *AGREEING], estimator="mutual_predictability", kind="verifiable"
            )
    assert solution.answer == "4"
    assert solution.reference is not None
    assert solution.reference.method == "mutual_predictability"
    assert len(double.scored) == 4
    for prompt in double.scored:  # each of them after all the others
        assert all(text in prompt for text in (STRANGE, *AGREEING))
    assert sorted(p.rpartition("\n\n")[2] for p in double.scored) == sorted([STRANGE, *AGREEING])
    usage = solution.usage.roles["anchor"]
    assert usage.calls == 4
    assert usage.prompt_tokens > 0


async def test_one_rollout_is_taken_unscored() -> None:
    with ScoringDouble() as double:
        async with cat_on(double) as cat:
            solution = await cat.score("q", [STRANGE, None], estimator="mutual_predictability")
    assert solution.text == STRANGE
    assert double.scored == []


async def test_an_endpoint_that_cannot_score_is_named_with_the_remedy() -> None:
    with ProviderDouble() as double:
        async with cat_on(double) as cat:
            with pytest.raises(EstimationError, match=r"double does not score given text; .*vLLM"):
                await cat.score("q", AGREEING, estimator="mutual_predictability")


class Plain:
    """A client of one's own without `score`."""

    name = "plain"

    async def complete(self, request: ModelRequest, on_delta: object = None) -> Completion:
        raise AssertionError("nothing is to be sent")

    async def aclose(self) -> None:
        """Nothing to close."""


class Scoring(Plain):
    """A client of one's own that scores: long texts are unlikely."""

    async def score(self, model: str, context: str, text: str) -> Completion:
        return Completion((Choice(text, logprobs=(TokenLogprob(text, -float(len(text))),)),))


async def test_a_client_that_cannot_score_is_said_before_anything_is_sent() -> None:
    async with CaT(Plain()) as cat:
        with pytest.raises(ConfigError, match="plain cannot score given text"):
            await cat.solve("q", estimator="mutual_predictability")


async def test_a_client_of_ones_own_can_score() -> None:
    async with CaT(Scoring()) as cat:
        solution = await cat.score(
            "q", [*AGREEING, "It is 4"], estimator="mutual_predictability", kind="verifiable"
        )
    assert solution.text == "It is 4"


@pytest.mark.timeout(300)
async def test_the_real_engine_scores_a_text_token_for_token() -> None:
    if installed(MODEL) is None:
        pytest.skip(f"the embedded model {MODEL} is not in the cache (CATAGENT_CACHE)")
    client = EmbeddedClient(MODEL)
    try:
        likely = (await client.score(MODEL, "The capital of France is", " Paris.")).choices[0]
        odd = (await client.score(MODEL, "The capital of France is", " seven.")).choices[0]
        # Characters of several tokens and quotes, which need the other grammar.
        hard = (await client.score(MODEL, "Say:", ' "√2 ≈ 1.41"\n\\boxed{x}')).choices[0]
        with pytest.raises(RequestError):
            await client.score(MODEL, "x", "")
    finally:
        await client.aclose()
    assert [t.token for t in likely.logprobs or ()] == [" Paris", "."]
    assert all(t.logprob <= 0 for t in (*(likely.logprobs or ()), *(hard.logprobs or ())))
    assert (likely.logprobs or ())[0].logprob > (odd.logprobs or ())[0].logprob + 2
    assert len(hard.logprobs or ()) >= 8
