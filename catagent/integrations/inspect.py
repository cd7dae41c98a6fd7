"""inspect_ai: the model `cat/…`, and `cat_solver` for tasks that keep their own model names.

    inspect eval task.py --model cat/openai/gpt-5-mini -M n=8

The model API is inspect's own for OpenAI's chat protocol, with CaT in the process behind it. The package's
entry point registers both, so that nothing has to be imported.
"""

from __future__ import annotations

from typing import Any

from catagent.cat import CaT
from catagent.integrations.extras import absent

try:
    from inspect_ai.model import GenerateConfig, ModelOutput, ModelUsage, messages_to_openai, modelapi
    from inspect_ai.model._providers.openai_compatible import OpenAICompatibleAPI
    from inspect_ai.solver import Generate, Solver, TaskState, solver
except ImportError as error:
    raise absent("inspect", error) from error

from catagent.completions import ApiError
from catagent.integrations.answering import BASE_URL
from catagent.integrations.chat import Chat
from catagent.integrations.openai import async_client

__all__ = ["CatAPI", "cat", "cat_solver"]


class CatAPI(OpenAICompatibleAPI):
    """The model API. Its arguments (`-M n=8`) are CaT's options: `n`, `estimator`, `kind`, `question_aware`.

    inspect's own limit on connections counts solves; requests upstream are limited by catagent.
    """

    def __init__(
        self,
        model_name: str,
        base_url: str | None = None,
        api_key: str | None = None,
        config: GenerateConfig = GenerateConfig(),  # noqa: B008 - as the base class has it
        cat: CaT | None = None,
        **options: Any,
    ) -> None:
        self._cat = cat
        self._options = options
        super().__init__(
            model_name=model_name if model_name == "cat" else f"cat/{model_name}",
            base_url=base_url or BASE_URL,
            api_key="in-process",
            config=config,
            service="cat",
            strict_tools=False,
        )

    def _create_client(self) -> Any:
        made = async_client(self._cat, self._options)
        self.http_client = made._client  # noqa: SLF001 - what the base class closes and hooks into
        return made

    def service_model_name(self) -> str:
        """The name as catagent knows it."""
        return str(self.model_name)


@modelapi(name="cat")
def cat() -> type[CatAPI]:
    """The provider `cat`: `cat/cat` is the configuration's own, `cat/provider/model` any other."""
    return CatAPI


@solver
def cat_solver(model: str = "cat", *, over: CaT | None = None, **options: Any) -> Solver:
    """Answer the sample's conversation with the reference of several rollouts.

    `model` is `cat`, `cat/provider/model` or a profile; `options` are CaT's. How the reference came about is
    in the sample's store under `catagent`. Tools of the task are not used: for those take the model.
    """
    chat = Chat(model, cat=over, options=options)

    async def solve(state: TaskState, generate: Generate) -> TaskState:
        messages: list[Any] = await messages_to_openai(state.messages)
        try:
            body = await chat.complete(messages)
        except ApiError as error:
            raise RuntimeError(error.message) from error
        output = ModelOutput.from_content(model, body["choices"][0]["message"]["content"] or "")
        if body["usage"]:
            output.usage = ModelUsage(
                input_tokens=body["usage"]["prompt_tokens"],
                output_tokens=body["usage"]["completion_tokens"],
                total_tokens=body["usage"]["total_tokens"],
            )
        state.output = output
        state.messages.append(output.message)
        state.store.set("catagent", body["catagent"])
        return state

    return solve
