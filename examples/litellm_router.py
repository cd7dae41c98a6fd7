"""CaT in LiteLLM's Router: `pip install catagent`."""

import asyncio

import litellm

import catagent.integrations.litellm  # noqa: F401 - makes cat/… known

router = litellm.Router(
    model_list=[{"model_name": "teacher", "litellm_params": {"model": "cat/openai/gpt-5-mini"}}]
)
reply = asyncio.run(
    router.acompletion(
        model="teacher", messages=[{"role": "user", "content": "What is 2+2?"}], catagent={"n": 3}
    )
)
print(reply.choices[0].message.content)
print(reply.catagent["agreement"], reply.usage.total_tokens)
