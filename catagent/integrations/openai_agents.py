"""OpenAI's Agents SDK: `Agent(model=CatModel("cat/openai/gpt-5-mini"))`, or model names under `cat/`.

    provider = MultiProvider(provider_map=provider_map())
    await Runner.run(Agent(name="solver", model="cat/openai/gpt-5-mini"), "…", run_config=RunConfig(
        model_provider=provider, tracing_disabled=True))

The model is the SDK's own for the chat protocol, with CaT in the process behind it.
"""

from __future__ import annotations

from catagent.cat import CaT
from catagent.integrations.extras import absent

try:
    from agents import Model, ModelProvider, OpenAIChatCompletionsModel
    from agents.models.multi_provider import MultiProviderMap
except ImportError as error:
    raise absent("openai-agents", error) from error

from catagent.integrations.openai import async_client

__all__ = ["CatModel", "CatProvider", "provider_map"]


class CatModel(OpenAIChatCompletionsModel):
    """A `Model`: `cat`, `cat/provider/model` or a profile of the configuration.

    Options for a run stand in `ModelSettings(extra_body={"catagent": {"n": 8}})`.
    """

    def __init__(self, model: str = "cat", *, cat: CaT | None = None) -> None:
        super().__init__(model=model, openai_client=async_client(cat))


class CatProvider(ModelProvider):
    """Makes the models for names that the SDK has stripped of their prefix `cat/`."""

    def __init__(self, cat: CaT | None = None) -> None:
        self._cat = cat

    def get_model(self, model_name: str | None) -> Model:
        """The model of a name; without one, the configuration's own."""
        return CatModel(f"cat/{model_name}" if model_name and model_name != "cat" else "cat", cat=self._cat)


def provider_map(cat: CaT | None = None) -> MultiProviderMap:
    """A map for `MultiProvider` in which the prefix `cat/` is CaT."""
    made = MultiProviderMap()
    made.add_provider("cat", CatProvider(cat))
    return made
