"""CaT as a model of inspect_ai: `pip install 'catagent[inspect]'`."""

import asyncio

from inspect_ai import Task, eval_async
from inspect_ai.dataset import Sample
from inspect_ai.scorer import includes

task = Task(dataset=[Sample(input="What is 2+2?", target="4")], scorer=includes())
(log,) = asyncio.run(eval_async(task, model="cat/openai/gpt-5-mini", model_args={"n": 3}))
print(log.status, log.results.scores[0].metrics["accuracy"].value)
