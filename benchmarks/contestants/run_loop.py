"""A loop by hand: asyncio, a semaphore and the official client with its own retries."""

import asyncio
import json
import re
import sys
from collections import Counter

import openai

base, in_flight, several = sys.argv[1], int(sys.argv[2]), sys.argv[3] == "n"
gate = asyncio.Semaphore(in_flight)
client = openai.AsyncOpenAI(base_url=base, api_key="sk-x")


async def ask(prompt, n):
    async with gate:
        reply = await client.chat.completions.create(
            model="m", messages=[{"role": "user", "content": prompt}], n=n
        )
    return [choice.message.content for choice in reply.choices]


async def solve(row):
    if several:
        texts = await ask(row["prompt"], 8)
    else:
        texts = [t for one in await asyncio.gather(*(ask(row["prompt"], 1) for _ in range(8))) for t in one]
    votes = Counter(match[1] for text in texts if (match := re.search(r"\\boxed\{([^}]+)\}", text or "")))
    return {"id": row["id"], "answer": votes.most_common(1)[0][0]}


async def main():
    with open("in.jsonl") as file:
        rows = [json.loads(line) for line in file]
    lines = await asyncio.gather(*map(solve, rows), return_exceptions=True)
    with open("out.jsonl", "w") as file:
        file.writelines(json.dumps(line) + "\n" for line in lines if isinstance(line, dict))
    await client.close()


asyncio.run(main())
