"""The agents inside a trainer: whose weights the anchor has, how it is asked, what makes the rewards."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from catagent.agents.prompts import Prompts as Templates
from catagent.cat import CaT
from catagent.messages import ChatMessage
from catagent.models.client import Client
from catagent.models.sqlite_journal import SqliteJournal
from catagent.training.anchors import anchor_weights, is_local, keep_copy, settle_anchor
from catagent.training.backend import needed
from catagent.training.batches import Rewarding
from catagent.training.checks import AnchorCheck
from catagent.training.datasets import Prompts, instructed
from catagent.training.engine import EngineGenerator
from catagent.training.exchange import Exchange
from catagent.training.generation import Generator
from catagent.training.loading import Policy
from catagent.training.local import LocalClient, Sampling, StepJournal, TrainingRegistry
from catagent.training.methods import Method, method_of
from catagent.training.scoring import Scorer

__all__ = ["RewardPipeline"]


class RewardPipeline:
    """What a `CaTTrainer` makes its rewards with; `instruction` is what the policy's prompts end with."""

    def __init__(
        self,
        trainer: Any,
        policy: Policy,
        data: dict[str, Prompts | None],
        templates: Templates,
        *,
        chat: bool,
        instruction: str | None,
        judge: str | Client | None,
        anchor: Client | None,
        proposer: str | Client | None,
    ) -> None:
        self._trainer = trainer
        self._config = config = trainer.cat_config
        self._exchange = Exchange()
        self.anchor = self._settled(policy)
        """Whose weights the anchor has, or the model string of one elsewhere."""
        local = is_local(self.anchor) and anchor is None
        spread = trainer.cat_spread
        together = local and spread and trainer.accelerator.num_processes > 1
        self.weights = anchor_weights(self.anchor if local else "policy", trainer)
        """Contexts that give the model with the anchor's weights."""
        window = _window(trainer.model)
        sampling = Sampling(
            tokens=config.anchor_tokens or config.max_completion_length,
            temperature=config.temperature,
            top_p=config.top_p,
            top_k=config.top_k,
        )
        made = EngineGenerator if local and self.anchor == "unsloth_vllm" else Generator
        self.generator = made(
            self.weights, policy.tokenizer, sampling, chat=chat, template=dict(config.chat_template_kwargs),
            context=window, at_once=config.anchor_batch,
            seed=config.seed * 1_000_003 + trainer.accelerator.process_index,
            agree=trainer.cat_most if together else None,
        )  # fmt: skip
        own: str | Client = anchor or self.anchor
        if local:
            own = LocalClient(self._exchange, sampling, name=f"anchor:{self.anchor}", context=window)
        judge, proposer = judge or config.judge, proposer or config.rubric_proposer
        roles = {"anchor": own, "judge": judge or own, "rubric_proposer": proposer or own}
        method = method_of(config.method)
        self._cat = self._made(method, own, judge, proposer)
        trainer.cat_output.mkdir(parents=True, exist_ok=True)
        self._kept = SqliteJournal(trainer.cat_output / f"rewards-{trainer.accelerator.process_index}.sqlite")
        self._cat.journal = self._journal = StepJournal(self._kept)

        def prompted(messages: Sequence[ChatMessage]) -> str:
            return self.generator.rendered(instructed(messages, instruction) if instruction else messages)

        scorer = Scorer(
            self._cat, method, self._exchange, self.generator.serve, kind=config.settled_kind,
            away=frozenset(role for role, model in roles.items() if not isinstance(model, LocalClient)),
            seed=config.seed, stops=config.stop, prompted=prompted, longest_wait=config.longest_wait,
            patience=config.judge_patience, lockstep=trainer.cat_any if together else None,
        )  # fmt: skip
        self.rewarding = Rewarding(
            config, scorer, trainer.accelerator, data, begin=self._begin,
            anchor_seconds=lambda: self._exchange.served_seconds, stop=trainer.cat_stop,
        )  # fmt: skip
        probe = self.generator.encode([{"role": "user", "content": "2 + 2 = 4, so 3 + 3 ="}])
        self.check = AnchorCheck(
            self.anchor, anchor_weights("policy", trainer), self.weights, probe[-64:], trainer.cat_output,
            write=trainer.accelerator.is_main_process,
        )  # fmt: skip
        self.checks = local and not spread and self.anchor != "unsloth_vllm"
        """Whether the anchor can be looked at as it should be."""

    def _settled(self, policy: Policy) -> str:
        """The anchor's name, with the copy of the adapter made that it may take."""
        model = self._trainer.model
        anchor = settle_anchor(self._config, model, self._trainer.ref_model, fresh=policy.fresh)
        if anchor == "ref_adapter" and "ref" not in model.peft_config:
            keep_copy(model, "anchor")
        if anchor == "ema":
            keep_copy(model, "ema")
        return anchor

    def _made(
        self, method: Method, anchor: str | Client, judge: str | Client | None, proposer: str | Client | None
    ) -> CaT:
        config = self._config
        weights = {"verifiable": method.verifiable, "open": method.open}
        needed("catagent.training.soft")  # registers its reward
        return CaT(
            anchor,
            judge=judge,
            rubric_proposer=proposer,
            estimator=method.estimator,
            question_aware=config.question_aware,
            kind=config.settled_kind,
            proposing=config.proposing or None,
            judging=config.judging or None,
            rewarding={**config.rewarding, **{k: dict(w) for k, w in weights.items() if w}} or None,
            config=config.providers,
            prompts=config.prompts,
        ).reached_by(TrainingRegistry)

    def _begin(self, step: str) -> None:
        self._journal.step = step
        self.generator.begin(step)

    def close(self) -> None:
        """Give back connections, the journal and the thread. Makes no more rewards."""
        if not self._exchange.closed:
            self._exchange.do(self._cat.aclose())
            self._exchange.close()
            self._kept.close()


def _window(model: Any) -> int | None:
    """The context window of a model, in tokens."""
    text = model.config.get_text_config() if hasattr(model.config, "get_text_config") else model.config
    known = getattr(text, "max_position_embeddings", None)
    return int(known) if known else None
