"""What a provider refuses by itself: bad requests, unknown models, prompts that do not fit."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from tests.doubles.discovery import Flavour
from tests.doubles.faults import Fault
from tests.doubles.protocol import Body, error_body, prompt_tokens

__all__ = ["refusal", "unauthorised"]


def bad(message: str, param: str | None = None) -> Fault:
    return Fault("bad_request", 400, error_body(message, param=param))


def unauthorised(said: str, key: str) -> Fault | None:
    """401 unless the Authorization header carries the key; a wrong one is shown in part, as OpenAI does."""
    if said == f"Bearer {key}":
        return None
    given = said.removeprefix("Bearer ").strip()
    shown = f"{given[:8]}{'*' * max(0, len(given) - 12)}{given[-4:]}"
    message = (
        f"Incorrect API key provided: {shown}. You can find your API key at https://double.invalid/keys."
        if given
        else "You didn't provide an API key. You need to provide your API key in an Authorization header."
    )
    return Fault("unauthorised", 401, error_body(message, code="invalid_api_key" if given else None))


def refusal(
    body: Body,
    *,
    models: Sequence[str] | None,
    rejects: Collection[str],
    context: int | None,
    flavour: Flavour,
) -> Fault | None:
    """None if the request is fine. `models=None` takes any model; `rejects` are parameters it lacks."""
    model, messages, count = body.get("model"), body.get("messages"), body.get("n")
    if not isinstance(model, str):
        return bad("you must provide a model parameter")
    if not isinstance(messages, list) or not messages:
        return bad("'messages' must be a non-empty list", "messages")
    if count is not None and (not isinstance(count, int) or count < 1):
        return bad("'n' must be a positive integer", "n")
    if models is not None and model not in models:
        message = f"The model `{model}` does not exist or you do not have access to it."
        return Fault("model_not_found", 404, error_body(message, code="model_not_found"))
    for name in sorted(body.keys() & rejects):
        if name != "n":
            return Fault.unknown_parameter(name)
        if (count or 1) > 1:
            return Fault.n_unsupported()
    if context is None:
        return None
    local = flavour in ("llama.cpp", "ollama")
    prompt = prompt_tokens(body)
    answer = 0 if local else body.get("max_completion_tokens") or body.get("max_tokens") or 0
    if prompt + answer <= context:
        return None
    wording = "llama.cpp" if local else flavour
    return Fault.context_overflow(wording=wording, limit=context, prompt=prompt, answer=answer)
