"""inspect_ai: a task with 8 epochs, whose scores are the boxed answers and whose reducer is the mode."""

import json
import os
import re
import sys

from inspect_ai import Epochs, Task, eval  # noqa: A004
from inspect_ai.dataset import Sample
from inspect_ai.scorer import Score, metric, scorer
from inspect_ai.solver import generate

os.environ |= {"HOUSE_API_KEY": "sk-x", "HOUSE_BASE_URL": sys.argv[1]}


@metric
def answered():
    return lambda scores: sum(score.value != "none" for score in scores)


@scorer(metrics=[answered()])
def boxed():
    async def score(state, target):
        match = re.search(r"\\boxed\{([^}]+)\}", state.output.completion)
        return Score(value=match[1] if match else "none")

    return score


with open("in.jsonl") as rows:
    samples = [Sample(id=row["id"], input=row["prompt"]) for row in map(json.loads, rows)]
(log,) = eval(
    Task(dataset=samples, solver=generate(), scorer=boxed(), epochs=Epochs(8, "mode")),
    model="openai-api/house/m", adaptive_connections=int(sys.argv[2]), display="none", log_dir="logs",
    fail_on_error=False, log_realtime=False,
)  # fmt: skip
with open("out.jsonl", "w") as file:
    for sample in log.reductions[0].samples if log.reductions else ():
        file.write(json.dumps({"id": sample.sample_id, "answer": sample.value}) + "\n")
