"""What one of several processes does in `test_ranks`: trains, and writes down what it saw."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import torch

torch.set_num_threads(1)

from catagent.errors import ConnectError  # noqa: E402
from catagent.models.client import Choice, Completion, ModelRequest, OnDelta  # noqa: E402
from catagent.training import CaTConfig, CaTTrainer, TrainingStopped  # noqa: E402
from tests.cast import RUBRIC, VERDICT  # noqa: E402
from tests.training import tiny  # noqa: E402

RANK = int(os.environ["RANK"])


class Judge:
    """Answers, except in the process whose judge is said to be dead."""

    name = "judge"

    def __init__(self, dead: int | None) -> None:
        self.dead = dead == RANK

    async def complete(self, request: ModelRequest, on_delta: OnDelta | None = None) -> Completion:
        if self.dead:
            raise ConnectError("connection refused")
        text = str(request.messages[-1]["content"])
        reply = f"<rubric>{RUBRIC}</rubric>" if "<criterion>" in text else VERDICT
        return Completion((Choice(reply),), prompt_tokens=1, completion_tokens=1, usd=0.0)

    async def aclose(self) -> None:
        pass


class Together(CaTTrainer):
    """Generates in lockstep, as a model whose weights are spread over the processes has to."""

    cat_spread = True  # type: ignore[assignment]


def main() -> None:
    cases = json.loads(Path(sys.argv[1], "cases.json").read_text())
    for name, case in cases.items():
        folder = Path(sys.argv[1], name)
        folder.mkdir(exist_ok=True)
        run(folder, case)
    torch.distributed.destroy_process_group()


def run(folder: Path, case: dict[str, Any]) -> None:
    dead = case.pop("dead", None)
    spread = case.pop("spread", False)
    judge = Judge(dead) if case.get("kind") == "open" else None
    made: Any = (Together if spread else CaTTrainer)(
        model=tiny.model(weights=torch.load(folder.parent / "taught.pt")),
        processing_class=tiny.tokenizer(),
        train_dataset=tiny.rows(),
        eval_dataset=tiny.rows(3),
        args=CaTConfig(**{**tiny.SETTINGS, **case}),
        output_dir=folder / "run",
        judge=judge,
        rubric_proposer=judge,
    )
    said: dict[str, Any] = {"batches": [], "served": 0, "calls": 0, "stopped": None}
    rewarding, generator = made._rewarding, made.cat_generator

    def watched(mode: str, step: int, size: int, samples: Any, kl: Any) -> Any:
        batch = rewarding(mode, step, size, samples, kl)
        said["batches"].append(
            {
                "mode": mode,
                "rows": [s.row for s in samples],
                "texts": [s.text for s in samples],
                "rewards": batch.rewards,
                "references": batch.references,
                "metrics": {k: v for k, v in batch.metrics.items() if not k.startswith("seconds")},
            }
        )
        return batch

    real = generator._generated

    def counted(chunk: Any) -> Any:
        said["calls"] += 1
        said["served"] += len(chunk)
        return real(chunk)

    made._rewarding = watched
    generator._generated = counted
    try:
        made.train()
    except TrainingStopped as stopped:
        said["stopped"] = str(stopped)
    said["weights"] = sum(float(p.double().sum()) for p in made.model.parameters() if p.requires_grad)
    (folder / f"rank{RANK}.json").write_text(json.dumps(said))
    made.close()


if __name__ == "__main__":
    main()
