"""Curator: one LLM over a list of rows. It has no aggregation, so `parse` votes; 8 requests are 8 rows."""

import importlib.util
import json
import os
import re
import sys
from collections import Counter, defaultdict
from pathlib import Path

base, in_flight, n = sys.argv[1], int(sys.argv[2]), 8 if sys.argv[3] == "n" else 1
# It counts tokens with an encoding that LiteLLM, one of its requirements, brings along: nothing is fetched.
litellm = importlib.util.find_spec("litellm").origin
os.environ |= {
    "HOME": os.getcwd(), "HF_HOME": os.path.abspath("hf"), "CURATOR_CACHE_DIR": os.path.abspath("cache"),
    "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "TELEMETRY_ENABLED": "0", "CURATOR_VIEWER": "0", "CURATOR_DISABLE_RICH_DISPLAY": "1",
    "TIKTOKEN_CACHE_DIR": str(Path(litellm).parent / "litellm_core_utils" / "tokenizers"),
    "OPENAI_API_KEY": "sk-x",
}  # fmt: skip
from bespokelabs import curator  # noqa: E402


def voted(texts):
    votes = Counter(match[1] for text in texts if (match := re.search(r"\\boxed\{([^}]+)\}", text or "")))
    return votes.most_common(1)[0][0] if votes else None


class Solve(curator.LLM):
    return_completions_object = n > 1

    def prompt(self, row):
        return row["prompt"]

    def parse(self, row, reply):
        if n > 1:
            return {"id": row["id"], "answer": voted([c["message"]["content"] for c in reply["choices"]])}
        return {"id": row["id"], "answer": reply}


with open("in.jsonl") as lines:
    rows = [json.loads(line) for line in lines for _ in range(8 // n)]
solve = Solve(
    model_name="m", backend="openai", generation_params={"n": n} if n > 1 else {},
    backend_params={"base_url": base, "max_concurrent_requests": in_flight, "require_all_responses": False,
                    "max_requests_per_minute": 10**7, "max_tokens_per_minute": 10**10},
)  # fmt: skip
groups = defaultdict(list)
for row in solve(rows).dataset:
    groups[row["id"]].append(row["answer"])
with open("out.jsonl", "w") as file:
    for ident, texts in groups.items():
        if n > 1 or len(texts) == 8:
            answer = texts[0] if n > 1 else voted(texts)
            file.write(json.dumps({"id": ident, "answer": answer}) + "\n")
