"""CaT as the model of a pydantic-ai agent: `pip install 'catagent[pydantic-ai]'`."""

from pydantic_ai import Agent

from catagent.integrations.pydantic_ai import CatModel

agent = Agent(CatModel("cat/openai/gpt-5-mini", catagent={"n": 3}), instructions="Be brief.")
result = agent.run_sync("What is 2+2?")
print(result.output, result.usage.total_tokens)
