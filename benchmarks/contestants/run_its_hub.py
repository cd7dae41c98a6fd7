"""its_hub: SelfConsistency with its own projection of boxed answers, its orchestrator and its client."""

import asyncio
import json
import sys

from its_hub import OpenAICompatibleLanguageModel, SelfConsistency
from its_hub.core.algorithms.self_consistency import create_regex_projection_function
from its_hub.core.orchestrator import LMOrchestrator

base, in_flight = sys.argv[1], int(sys.argv[2])


async def main():
    with open("in.jsonl") as file:
        rows = [json.loads(line) for line in file]
    algorithm = SelfConsistency(
        create_regex_projection_function(r"\\boxed\{([^}]+)\}"), orchestrator=LMOrchestrator(in_flight)
    )
    async with OpenAICompatibleLanguageModel(endpoint=base, api_key="sk-x", model_name="m") as lm:
        answers = await asyncio.gather(
            *(algorithm.ainfer(lm, row["prompt"], budget=8) for row in rows), return_exceptions=True
        )
    with open("out.jsonl", "w") as file:
        for row, answer in zip(rows, answers, strict=True):
            if isinstance(answer, dict):
                file.write(json.dumps({"id": row["id"], "answer": answer["content"]}) + "\n")


asyncio.run(main())
