"""optillm: its proxy with the approach majority_voting (k = 8), and a client that asks it."""

import asyncio
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import openai

base, in_flight = sys.argv[1], int(sys.argv[2])
with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    port = free.getsockname()[1]
line = [Path(sys.executable).with_name("optillm"), "--base-url", base, "--model", "m", "--port", str(port),
        "--approach", "majority_voting", "--log", "error"]  # fmt: skip
env = {**os.environ, "OPENAI_API_KEY": "sk-x", "HF_HUB_OFFLINE": "1", "HOME": os.getcwd()}
quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}


async def up():
    async with httpx.AsyncClient() as client:
        while server.poll() is None:
            try:
                return (await client.get(f"http://127.0.0.1:{port}/health")).raise_for_status()
            except httpx.HTTPError:
                await asyncio.sleep(0.1)
    raise SystemExit("optillm ended")


async def main():
    with open("in.jsonl") as file:
        rows = [json.loads(line) for line in file]
    await up()
    gate = asyncio.Semaphore(in_flight)
    client = openai.AsyncOpenAI(
        base_url=f"http://127.0.0.1:{port}/v1", api_key="sk-x", max_retries=0, timeout=600
    )

    async def solve(row):
        async with gate:
            messages = [{"role": "user", "content": row["prompt"]}]
            reply = await client.chat.completions.create(model="m", messages=messages, extra_body={"k": 8})
        return {"id": row["id"], "answer": reply.choices[0].message.content}

    lines = await asyncio.gather(*map(solve, rows), return_exceptions=True)
    with open("out.jsonl", "w") as file:
        for line in lines:
            if isinstance(line, dict) and "Error:" not in line["answer"]:
                file.write(json.dumps(line) + "\n")
    await client.close()


server = subprocess.Popen(line, env=env, **quiet)
try:
    asyncio.run(main())
finally:
    server.terminate()
    server.wait()
