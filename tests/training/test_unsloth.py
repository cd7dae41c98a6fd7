"""What Unsloth makes of TRL's trainer still has what is overridden, and takes every hyper-parameter.

Runs in the version set that Unsloth takes (`make test-unsloth-set`); plain TRL's is too new for it.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]

pytestmark = [
    pytest.mark.skipif(
        importlib.util.find_spec("unsloth") is None,
        reason="Unsloth is installed by make test-unsloth-set alone",
    ),
    pytest.mark.timeout(400),
]

DRIFT = r"""
import ast, inspect, json, sys, textwrap
from pathlib import Path
import unsloth
from unsloth.models.rl import _patch_trl_rl_trainers_impl
_patch_trl_rl_trainers_impl("grpo_trainer")
import trl
import trl.trainer.grpo_trainer as original
from catagent.training import CaTConfig, CaTTrainer, make_cat_trainer
from catagent.training.hyperparameters import grpo_config
generated = trl.GRPOTrainer
tree = ast.parse(Path(inspect.getsourcefile(original)).read_text())
wanted = next(n for c in tree.body if isinstance(c, ast.ClassDef) and c.name == "GRPOTrainer"
              for n in c.body if getattr(n, "name", None) == "_calculate_rewards")
found = ast.parse(textwrap.dedent(inspect.getsource(generated._calculate_rewards))).body[0]
for node in (wanted, found):
    node.decorator_list = []
made = make_cat_trainer(generated)
built = grpo_config(CaTConfig(use_cpu=True, learning_rate=3e-6), Path(sys.argv[1]), evaluate=False)
print(json.dumps({
    "name": generated.__name__,
    "same": ast.dump(wanted) == ast.dump(found),
    "ours": made._calculate_rewards is CaTTrainer._calculate_rewards,
    "over": made.__mro__[2] is generated,
    "tokenize": hasattr(generated, "_tokenize_prompts"),
    "default": inspect.signature(type(built).__init__).parameters["learning_rate"].default,
    "rate": built.learning_rate,
    "optimiser": str(getattr(built.optim, "value", built.optim)),
    "masked": built.mask_truncated_completions,
}))
"""

SMOKE = r"""
import json, sys
import unsloth
import torch
torch.set_num_threads(1)
from catagent.training import CaTConfig, CaTTrainer
from tests.training import tiny
made = CaTTrainer(model=tiny.model(weights=tiny.taught(20)), processing_class=tiny.tokenizer(),
                  train_dataset=tiny.rows(), args=CaTConfig(**tiny.SETTINGS), output_dir=sys.argv[1])
made.train()
print(json.dumps({"steps": made.state.global_step, "anchor": made.cat_anchor, "backend": made.cat_backend}))
made.close()
"""


def said_by(code: str, folder: Path, **environment: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder)],
        cwd=folder,
        env={
            **os.environ, "PYTHONPATH": str(ROOT), "UNSLOTH_DISABLE_STATISTICS": "1", "HF_HUB_OFFLINE": "1",
            "UNSLOTH_COMPILE_LOCATION": str(folder / "compiled"), "OMP_NUM_THREADS": "1", **environment,
        },
        capture_output=True, text=True, timeout=380, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return dict(json.loads(done.stdout.strip().splitlines()[-1]))


def test_the_generated_trainer_has_not_drifted(tmp_path: Path) -> None:
    said = said_by(DRIFT, tmp_path, UNSLOTH_ALLOW_CPU="1")
    assert said["name"] == "UnslothGRPOTrainer"
    assert said["same"], "the generated _calculate_rewards is not TRL's"
    assert said["ours"]
    assert said["over"]
    assert said["tokenize"]
    assert said["default"] == 5e-5, "the configuration is the generated one, whose defaults are others"
    assert (said["rate"], said["optimiser"], said["masked"]) == (3e-6, "adamw_torch", False)


def test_training_beside_unsloth_on_a_cpu(tmp_path: Path) -> None:
    """With Unsloth imported first; without a GPU it leaves TRL's trainer as it is, and so is ours plain."""
    said = said_by(SMOKE, tmp_path)
    assert said == {"steps": 2, "anchor": "adapter_off", "backend": "plain"}
