"""CaT as DSPy's engine: `pip install 'catagent[dspy]'`."""

import dspy

from catagent.integrations.dspy import cat_lm

dspy.configure(lm=cat_lm("cat/openai/gpt-5-mini", catagent={"n": 3}))
print(dspy.Predict("question -> answer")(question="What is 2+2?").answer)
