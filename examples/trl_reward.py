"""CaT as a reward of TRL's GRPO: `pip install 'catagent[trl]'`, then `python trl_reward.py MODEL`."""

import sys

import datasets
import torch
from trl import GRPOConfig, GRPOTrainer

from catagent.integrations.trl import CatReward

prompts = datasets.Dataset.from_dict({"prompt": [[{"role": "user", "content": "What is 3+3?"}]] * 4})
trainer = GRPOTrainer(
    model=sys.argv[1],
    reward_funcs=[CatReward(model="openai/gpt-5-mini", num_generations=4)],
    args=GRPOConfig(
        "out",
        num_generations=4,
        per_device_train_batch_size=4,
        max_steps=1,
        report_to=[],
        use_cpu=not torch.cuda.is_available(),
    ),
    train_dataset=prompts,
)
trainer.train()
