"""CaT as the model of an agent of OpenAI's SDK: `pip install 'catagent[openai-agents]'`."""

import asyncio

from agents import Agent, ModelSettings, RunConfig, Runner

from catagent.integrations.openai_agents import CatModel

agent = Agent(
    name="solver",
    model=CatModel("cat/openai/gpt-5-mini"),
    model_settings=ModelSettings(extra_body={"catagent": {"n": 3}}),
)
run = Runner.run(agent, "What is 2+2?", run_config=RunConfig(tracing_disabled=True))
print(asyncio.run(run).final_output)
