"""How endpoints are asked for the log-probabilities of a given text.

Two ways are known. vLLM and others with the older `/v1/completions` echo the prompt with its
log-probabilities. llama.cpp's server does not, but writes a text that a grammar forces upon it, and reports
how likely each token of it was to the unconstrained model.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeAlias

from catagent.errors import AccountError, ContextOverflowError, ModelError, RequestError
from catagent.models.client import Choice, Completion, TokenLogprob

__all__ = ["SCORING_REMEDY", "Post", "TextScorer"]

SCORING_REMEDY = (
    "scoring given text takes an endpoint whose /v1/completions has echo and logprobs (vLLM), llama.cpp's "
    "server, the embedded model, or a client of your own with `score`"
)

Post: TypeAlias = Callable[[str, Mapping[str, Any]], Awaitable[Any]]
"""`(path, body) -> JSON`: a POST to a path from the server's root."""


class TextScorer:
    """Scores through `post`, in the first way that the endpoint knows, which is remembered."""

    def __init__(self, post: Post, where: str) -> None:
        self._post = post
        self._where = where
        self._ways = [_by_echo, _by_grammar]

    async def __call__(self, model: str, context: str, text: str) -> Completion:
        """One choice with the log-probabilities of the tokens of `text` after `context`, in nats.

        Raises `RequestError` when the endpoint cannot.
        """
        for way in self._ways:
            found = await way(self._post, model, context, text)
            if found is not None:
                self._ways = [way]
                return found
        raise RequestError(f"{self._where} does not score given text; {SCORING_REMEDY}")


async def _by_echo(post: Post, model: str, context: str, text: str) -> Completion | None:
    """By `/v1/completions` with `echo`: the prompt's own log-probabilities come back with the reply.

    `None` when the endpoint does not do this: it refuses, lacks the path or leaves the prompt out.
    """
    whole = context + text
    body = {"model": model, "prompt": whole, "max_tokens": 1, "echo": True, "logprobs": 1, "temperature": 0}
    try:
        reply = await post("/v1/completions", body)
    except ContextOverflowError:
        raise
    except RequestError:
        return None
    except AccountError as error:
        if error.status == 404:
            return None
        raise
    try:
        said = reply["choices"][0]["logprobs"]
        found = _of_the_text(said["tokens"], said["token_logprobs"], said["text_offset"], whole, len(context))
        usage = reply.get("usage") or {}
    except (KeyError, IndexError, TypeError, ValueError, AttributeError):
        return None
    if not found:
        return None
    choice = Choice(text, "stop", logprobs=found)
    return Completion((choice,), usage.get("prompt_tokens"), usage.get("completion_tokens"))


def _of_the_text(
    tokens: list[str], values: list[float | None], offsets: list[int], whole: str, begin: int
) -> tuple[TokenLogprob, ...]:
    """The tokens from `begin` on; one that begins before it and ends in the text counts to the text.

    Some servers put a mark of the beginning before the prompt and count its letters in the offsets.
    """
    if not tokens or offsets[0] != 0:
        return ()
    shift = len(tokens[0]) if tokens[0] and not whole.startswith(tokens[0]) else 0
    return tuple(
        TokenLogprob(str(token), float(value))
        for token, value, offset in zip(tokens, values, offsets, strict=True)
        if value is not None and begin < offset - shift + len(token) and offset - shift < len(whole)
    )


async def _by_grammar(post: Post, _: str, context: str, text: str) -> Completion | None:
    """By llama.cpp's own protocol: a grammar lets it write nothing but the text, token for token.

    What it then reports are the log-probabilities of the unconstrained model. `None` when the server does
    not speak this protocol.
    """
    try:
        ids = (await post("/tokenize", {"content": text}))["tokens"]
    except (ModelError, KeyError, TypeError):
        return None
    if not isinstance(ids, list) or not ids:
        return None
    exact = "root ::= " + " ".join(f"<[{int(one)}]>" for one in ids)
    for grammar, most in ((exact, len(ids)), (f"root ::= {_quoted(text)}", 4 * len(ids) + 16)):
        body = {
            "prompt": context, "grammar": grammar, "n_predict": most, "n_probs": 1,
            "temperature": 0, "samplers": ["temperature"], "cache_prompt": True,
        }  # fmt: skip
        try:
            reply = await post("/completion", body)
        except ContextOverflowError:
            raise
        except ModelError:
            continue  # characters cut into several tokens break the exact grammar
        try:
            if reply["content"] != text:
                continue
            found = tuple(
                TokenLogprob(str(one["token"]), float(one["logprob"]))
                for one in reply["completion_probabilities"]
                if one["token"] or one["id"] in ids  # without the end of the text
            )
            return Completion(
                (Choice(text, "stop", logprobs=found),),
                reply.get("tokens_evaluated"),
                reply.get("tokens_predicted"),
            )
        except (KeyError, TypeError, ValueError):
            return None
    return None


def _quoted(text: str) -> str:
    """The text as a literal of llama.cpp's grammars."""
    escaped = (
        text.replace("\\", "\\\\")
        .replace('"', '\\"')
        .replace("\n", "\\n")
        .replace("\r", "\\r")
        .replace("\t", "\\t")
    )
    return f'"{escaped}"'
