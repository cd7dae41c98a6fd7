"""CaT as LlamaIndex's model: `pip install 'catagent[llama-index]'`."""

from llama_index.core import Settings

from catagent.integrations.llama_index import CatLLM

Settings.llm = CatLLM("cat/openai/gpt-5-mini", rollouts=3)
answer = Settings.llm.complete("What is 2+2?")
print(answer.text, answer.raw["catagent"]["agreement"])
