"""pydantic-ai: `Agent(CatModel("cat/openai/gpt-5-mini"))`.

The model is pydantic-ai's own for OpenAI's chat protocol, with CaT in the process behind it: tools, typed
output, images and streams are converted by pydantic-ai itself, and errors are its `ModelHTTPError`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from catagent.cat import CaT
from catagent.integrations.extras import absent

try:
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.profiles import merge_profile
    from pydantic_ai.profiles.openai import OpenAIModelProfile
    from pydantic_ai.providers.openai_compatible import OpenAICompatibleProvider
except ImportError as error:
    raise absent("pydantic-ai", error) from error

from catagent.integrations.openai import async_client

__all__ = ["CatModel"]


class CatModel(OpenAIChatModel):
    """A `Model`: `cat`, `cat/provider/model` or a profile of the configuration.

    `catagent` holds the options of every request (`n`, `estimator`, …); a request's own stand in its
    `model_settings` as `extra_body={"catagent": {…}}`. How a reference came about is in the response's
    `provider_details["catagent"]`.
    """

    def __init__(
        self,
        model_name: str = "cat",
        *,
        cat: CaT | None = None,
        catagent: Mapping[str, Any] | None = None,
        profile: Any = None,
        settings: Any = None,
    ) -> None:
        own = {"extra_body": {"catagent": dict(catagent)}} if catagent else {}
        # A model that is not OpenAI's own may know neither strict tools nor the system role's newer name.
        known = OpenAIModelProfile(
            openai_supports_strict_tool_definition=False, supports_json_schema_output=True
        )
        super().__init__(
            model_name,
            provider=OpenAICompatibleProvider("catagent", openai_client=async_client(cat)),
            profile=merge_profile(known, profile) if isinstance(profile, Mapping) else profile or known,
            settings={**own, **(settings or {})} or None,
        )

    def _process_provider_details(self, response: Any) -> dict[str, Any] | None:
        details = super()._process_provider_details(response) or {}
        return {**details, "catagent": (response.model_extra or {}).get("catagent")}
