"""Log-probabilities of given texts under the anchor's weights, and the methods that choose by them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
import torch

from catagent.errors import ConfigError, ConnectError, ContextOverflowError, RequestError
from catagent.models.client import Completion, ModelRequest
from catagent.models.scoring import Scorer
from catagent.training import CaTConfig, TrainingStopped, method_of
from catagent.training.anchors import anchor_weights
from catagent.training.engine import EngineGenerator
from catagent.training.likelihood import Likelihoods, token_logprobs
from catagent.training.local import Sampling, ScoreRequest
from tests.training import tiny
from tests.training.test_generation import generator, request
from tests.training.test_trainer import Watch, steps

TEXTS = [("1 + 3?", "\\boxed{4}"), ("5 + 3? and judge\n", "no"), ("2 + 3? " * 9, "\\boxed{5} \\boxed{6}")]


def ids(text: str) -> list[int]:
    return list(tiny.tokenizer()(text, add_special_tokens=False)["input_ids"])


def alone(model: Any, context: Sequence[int], text: Sequence[int]) -> list[float]:
    """By transformers: one row, no padding, the whole distribution at every place."""
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([[*context, *text]])).logits[0]
    said = torch.log_softmax(logits.double(), -1)
    return [float(said[len(context) + at - 1, token]) for at, token in enumerate(text)]


def likeliest(model: Any, context: str, texts: Sequence[str]) -> str:
    def mean(text: str) -> float:
        values = alone(model, ids(context), ids(text))
        return sum(values) / len(values)

    return max(texts, key=mean)


class Asked:
    """The requests for likelihoods that a trainer's anchor gets."""

    def __init__(self, trainer: Any) -> None:
        self.contexts: list[str] = []
        self.sampled = 0
        serve = trainer.cat_generator.serve

        def watched(requests: Sequence[ModelRequest]) -> Any:
            self.contexts += [r.context for r in requests if isinstance(r, ScoreRequest)]
            self.sampled += sum(not isinstance(r, ScoreRequest) for r in requests)
            return serve(requests)

        trainer.cat_generator.serve = trainer._rewarding._scorer._serve = watched


@pytest.mark.parametrize("keeps", [True, False])
def test_a_batch_says_of_each_token_what_transformers_says_of_it_alone(taught: Any, keeps: bool) -> None:
    model = tiny.model(weights=taught).eval()
    given: Any = model
    if not keeps:  # a model that cannot leave logits out
        given = type("Plain", (), {
            "device": model.device, "forward": lambda self, input_ids, attention_mask: None,
            "__call__": lambda self, **asked: model(**asked),
        })()  # fmt: skip
    contexts, texts = [ids(c) for c, _ in TEXTS], [ids(t) for _, t in TEXTS]
    found = token_logprobs(given, contexts, texts)
    for values, context, text in zip(found, contexts, texts, strict=True):
        assert values == pytest.approx(alone(model, context, text), abs=1e-4)
    hot = token_logprobs(given, contexts, texts, temperature=1e6)
    assert hot[0] == pytest.approx([-torch.log(torch.tensor(320.0)).item()] * len(texts[0]), abs=1e-3)


def test_scores_and_samples_come_back_in_the_order_they_were_asked_for(taught: Any) -> None:
    made = generator(taught)
    model = tiny.model(weights=taught).eval()
    asked = [ScoreRequest.of("anchor", context, text) for context, text in TEXTS]
    answers = made.serve([asked[0], request("1 + 3?"), asked[1], asked[2]])
    assert all(isinstance(answer, Completion) for answer in answers)
    sampled = answers.pop(1)
    assert isinstance(sampled, Completion)
    assert sampled.choices[0].logprobs is None
    for answer, (context, text) in zip(answers, TEXTS, strict=True):
        assert isinstance(answer, Completion)
        (choice,) = answer.choices
        assert choice.logprobs is not None
        assert (choice.text, "".join(token.token for token in choice.logprobs)) == (text, text)
        assert [t.logprob for t in choice.logprobs] == pytest.approx(
            alone(model, ids(context), ids(text)), abs=1e-4
        )
        assert (answer.prompt_tokens, answer.completion_tokens) == (len(ids(context)) + len(ids(text)), 0)
    assert made.tokens == sampled.completion_tokens, "nothing else was generated"


def test_what_cannot_be_scored_is_an_error_of_its_own(taught: Any) -> None:
    made = generator(taught, context=64)
    empty, long, fine = made.serve(
        [ScoreRequest.of("a", "1 + 3?", ""), ScoreRequest.of("a", "word " * 200, "x"),
         ScoreRequest.of("a", "", "\\boxed{4}")]
    )  # fmt: skip
    assert isinstance(empty, RequestError)
    assert isinstance(long, ContextOverflowError)
    assert long.limit == 64
    assert isinstance(fine, Completion)


def test_the_mark_of_the_beginning_is_there_once(taught: Any) -> None:
    from tokenizers.processors import TemplateProcessing

    words = tiny.tokenizer.__wrapped__()
    words.backend_tokenizer.post_processor = TemplateProcessing(
        single="<|im_start|> $A", special_tokens=[("<|im_start|>", 1)]
    )
    model = tiny.model(weights=taught).eval()

    @contextlib.contextmanager
    def weights() -> Iterator[Any]:
        yield model

    made = Likelihoods(weights, words, 512)
    plain, rendered = made.serve(
        [ScoreRequest.of("a", "1 + 3?", "4"), ScoreRequest.of("a", "<|im_start|>1 + 3?", "4")]
    )
    assert isinstance(plain, Completion)
    assert isinstance(rendered, Completion)
    assert plain.prompt_tokens == rendered.prompt_tokens == len(ids("<|im_start|>1 + 3?")) + len(ids("4"))
    assert plain.choices[0].logprobs == rendered.choices[0].logprobs


def test_passes_are_bounded_and_as_many_in_every_process(
    taught: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from catagent.training import likelihood

    monkeypatch.setattr(likelihood, "_AT_ONCE", 64)
    model = tiny.model(weights=taught).eval()
    passes: list[tuple[int, int]] = []

    @contextlib.contextmanager
    def weights() -> Iterator[Any]:
        def seen(_: Any, args: Any, given: dict[str, Any]) -> None:
            passes.append(tuple(given["input_ids"].shape))

        hook = model.register_forward_pre_hook(seen, with_kwargs=True)
        yield model
        hook.remove()

    requests = [ScoreRequest.of("a", "1 + 3? " * (1 + i % 5), "\\boxed{4}") for i in range(12)]
    found = Likelihoods(weights, tiny.tokenizer(), 512).serve(requests)
    assert all(rows * width <= 64 or rows == 1 for rows, width in passes)
    count = len(passes)
    passes.clear()
    again = Likelihoods(weights, tiny.tokenizer(), 512, agree=lambda mine: mine + 2).serve(requests)
    assert len(passes) == count + 2
    assert again == found


def test_the_anchor_scores_with_its_own_weights(trainer: Callable[..., Any]) -> None:
    made = trainer(method="random", max_steps=3)
    made.train()
    client = made._rewarding._scorer._cat.model_of("anchor")[0]
    assert isinstance(client, Scorer)
    context, text = TEXTS[0]

    async def scored() -> Completion:
        return await client.score("anchor", context, text)

    exchange = made._rewarding._scorer._exchange
    (found,) = exchange.run([scored], made.cat_generator.serve)
    with anchor_weights("adapter_off", made)() as model:
        wanted = alone(model, ids(context), ids(text))
    with anchor_weights("policy", made)() as model:
        policy = alone(model, ids(context), ids(text))
    values = [t.logprob for t in found.choices[0].logprobs]
    assert values == pytest.approx(wanted, abs=1e-4)
    assert max(abs(a - b) for a, b in zip(values, policy, strict=True)) > 1e-3


@pytest.mark.parametrize("instruct", [False, True])
def test_min_ppl_rewards_agreement_with_the_likeliest_rollout(
    trainer: Callable[..., Any], taught: Any, instruct: bool
) -> None:
    made = trainer(method="min_ppl", max_steps=1, instruct=instruct, max_completion_length=12)
    asked, watch = Asked(made), Watch(made)
    made.train()
    base = tiny.model(weights=taught).eval()
    assert asked.sampled == 0
    seen = [tiny.tokenizer().apply_chat_template(row["prompt"], tokenize=False, add_generation_prompt=True)
            for row in made.train_dataset]  # fmt: skip
    assert set(asked.contexts) <= set(seen), "what the policy was given, instruction and all"
    ((_, samples, batch),) = watch.batches
    for i in (0, 4):
        group = [s.text for s in samples[i : i + 4]]
        wanted = likeliest(base, seen[samples[i].row], [text for text in group if text.strip()])
        assert batch.references[i] == wanted
    (line,) = steps(made)
    assert line["cat/anchor_tokens"] == 0


def test_mutual_predictability_is_a_method(trainer: Callable[..., Any]) -> None:
    made = trainer(method="mutual_predictability", max_steps=2, max_completion_length=12)
    asked, watch = Asked(made), Watch(made)
    made.train()
    assert asked.sampled == 0
    for _, samples, batch in watch.batches:
        for i in (0, 4):
            group = [s.text for s in samples[i : i + 4]]
            assert batch.references[i] in group
            others = [c for c in asked.contexts if all(c.count(t) >= group.count(t) - 1 for t in group)]
            assert others, "each rollout after the others"
    assert any(v is not None for _, _, batch in watch.batches for v in batch.rewards)


def test_an_anchor_elsewhere_that_cannot_score_is_refused(trainer: Callable[..., Any]) -> None:
    class Mute:
        name = "mute"

        async def complete(self, request: ModelRequest, on_delta: Any = None) -> Completion:
            raise AssertionError("nothing is sampled")

        async def aclose(self) -> None: ...

    made = trainer(method="min_ppl", max_steps=1, options={"anchor": Mute()})
    with pytest.raises(ConfigError, match=r"the method min_ppl: .* cannot score given text"):
        made.train()


def test_an_anchor_elsewhere_that_is_dead_pauses_training_and_then_stops_it(
    trainer: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Dead:
        name = "far away"

        async def complete(self, request: ModelRequest, on_delta: Any = None) -> Completion:
            raise AssertionError("nothing is sampled")

        async def score(self, model: str, context: str, text: str) -> Completion:
            raise ConnectError("connection refused")

        async def aclose(self) -> None: ...

    waited: list[float] = []
    monkeypatch.setattr("catagent.training.scoring.PAUSE", waited.append)
    monkeypatch.setattr("catagent.models.retry.random.uniform", lambda a, b: 0.0)
    monkeypatch.setattr("tenacity.wait.random.uniform", lambda a, b: 0.0)
    made = trainer(method="min_ppl", max_steps=1, judge_patience=0.5, options={"anchor": Dead()})
    with pytest.raises(TrainingStopped, match=r"the anchor \(far away\) has answered nothing"):
        made.train()
    assert waited


def test_the_shared_engines_anchor_scores_without_the_adapter(taught: Any) -> None:
    from peft import LoraConfig, get_peft_model

    base = tiny.model(weights=taught).eval()
    adapted = get_peft_model(
        tiny.model(weights=taught), LoraConfig(r=4, target_modules="all-linear", init_lora_weights=False)
    ).eval()

    @contextlib.contextmanager
    def weights() -> Iterator[Any]:
        yield adapted

    made = EngineGenerator(
        weights, tiny.tokenizer(), Sampling(tokens=9), chat=True, template={}, context=512, at_once=8, seed=0
    )
    context, text = TEXTS[0]
    (found,) = made.serve([ScoreRequest.of("anchor", context, text)])
    assert isinstance(found, Completion)
    values = [t.logprob for t in found.choices[0].logprobs or ()]
    assert values == pytest.approx(alone(base, ids(context), ids(text)), abs=1e-4)
    assert values != pytest.approx(alone(adapted, ids(context), ids(text)), abs=1e-2)


def test_methods_that_need_likelihoods_say_so() -> None:
    assert method_of("min_ppl").likelihoods
    assert not method_of("mutual_predictability").likelihoods
    assert CaTConfig(method="min_ppl", kind="open").settled_kind == "open"
