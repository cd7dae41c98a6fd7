"""OpenRLHF: a remote reward server whose groups meet in it.

    python -m catagent.integrations.openrlhf --group-size 8 --anchor openai/gpt-5-mini
    … train_ppo_ray --reward.remote_url http://127.0.0.1:5000/get_reward --rollout.n_samples_per_prompt 8

OpenRLHF posts each completion alone (`query`, `prompts`, `labels`, one of each) and waits up to three minutes
for its reward; the members of a group wait for each other here, whichever engine they come from. Labels are
not looked at. OpenRLHF knows no unknown reward: in its place stands the mean of the group, and
`extra_logs.cat_unknown` says so.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from aiohttp import web

from catagent.assembly import Assembly, Row, RowReward
from catagent.cat import CaT
from catagent.errors import CatError
from catagent.gathering import gathered

__all__ = ["application", "main"]

_ENDS = (
    "<|im_end|>",
    "<|eot_id|>",
    "<|end|>",
    "<|endoftext|>",
    "<|end_of_text|>",
    "</s>",
    "<eos>",
    "<end_of_turn>",
)
_LARGEST = 16 * 1024 * 1024


def application(cat: CaT, *, group_size: int, patience: float = 60.0) -> web.Application:
    """The server; the caller closes `cat`. `patience` must stay below OpenRLHF's own time limit of 180 s."""
    assembly = Assembly(cat, size=group_size, patience=patience)

    async def reward(request: web.Request) -> web.Response:
        try:
            rows = _rows(await request.json())
        except ValueError as error:
            return web.json_response({"error": str(error)}, status=400)
        try:
            rewards = await gathered(assembly.reward(row) for row in rows)
        except CatError as error:
            return web.json_response({"error": str(error)}, status=502)
        return web.json_response(_reply(rewards))

    app = web.Application(client_max_size=_LARGEST)
    app.router.add_post("/{any:.*}", reward)
    return app


def _rows(body: Any) -> list[Row]:
    """Raises `ValueError` for a body that is not OpenRLHF's."""
    if not isinstance(body, Mapping):
        raise ValueError("the body is not an object")
    queries, prompts = body.get("query"), body.get("prompts")
    for name, texts in (("query", queries), ("prompts", prompts)):
        if not isinstance(texts, list) or not texts or not all(isinstance(t, str) and t for t in texts):
            raise ValueError(f"{name} is not a list of texts")
    assert queries is not None
    assert prompts is not None
    if len(queries) != len(prompts):
        raise ValueError(f"there are {len(queries)} queries and {len(prompts)} prompts")
    return [Row(prompt, _response(prompt, query)) for prompt, query in zip(prompts, queries, strict=True)]


def _response(prompt: str, query: str) -> str:
    """What the policy wrote: the query without the prompt it begins with and without the end of turn."""
    text = query.removeprefix(prompt).strip()
    while end := next((e for e in _ENDS if text.endswith(e)), None):
        text = text.removesuffix(end).rstrip()
    return text


def _reply(rewards: Sequence[RowReward]) -> dict[str, Any]:
    """One query is answered with numbers, several with lists: OpenRLHF makes tensors of them."""
    values = [reward.neutral for reward in rewards]
    unknown = [float(reward.value is None) for reward in rewards]
    if len(rewards) == 1:
        return {"rewards": values[0], "scores": values[0], "extra_logs": {"cat_unknown": unknown[0]}}
    return {"rewards": values, "scores": values, "extra_logs": {"cat_unknown": unknown}}


async def _serve(arguments: argparse.Namespace) -> None:
    cat = CaT(arguments.model, anchor=arguments.anchor, judge=arguments.judge)
    async with cat:
        app = application(cat, group_size=arguments.group_size, patience=arguments.patience)
        runner = web.AppRunner(app, handler_cancellation=True)
        await runner.setup()
        try:
            await web.TCPSite(runner, arguments.host, arguments.port).start()
            print(f"rewards at http://{arguments.host}:{runner.addresses[0][1]}/get_reward", flush=True)  # noqa: T201
            await asyncio.Event().wait()
        finally:
            await runner.cleanup()


def main() -> None:
    """Serve until Ctrl-C. There is no key: keep it inside the cluster's network."""
    parser = argparse.ArgumentParser(prog="python -m catagent.integrations.openrlhf", description=__doc__)
    add = parser.add_argument
    add("--group-size", type=int, required=True, help="samples a prompt, as in the trainer")
    add("--model", help="of all roles that have none of their own, as provider/name")
    add("--anchor", help="the model that reconciles")
    add("--judge", help="the model that judges")
    add("--patience", type=float, default=60.0, help="seconds without a new member until a group is short")
    add("--host", default="127.0.0.1")
    add("--port", type=int, default=5000)
    try:
        asyncio.run(_serve(parser.parse_args()))
    except KeyboardInterrupt:
        return


if __name__ == "__main__":
    main()
