"""CaT in the library `llm`: `pip install 'catagent[llm]'`. In a shell: `llm -m cat "What is 2+2?"`."""

import llm

model = llm.get_model("cat")
response = model.prompt("What is 2+2?", sampler="openai/gpt-5-mini", rollouts=3)
print(response.text(), response.usage())
