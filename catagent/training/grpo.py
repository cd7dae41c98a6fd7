"""What is used of `trl.GRPOTrainer`, which is known only when a trainer is made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__all__ = ["GrpoTrainer", "weights_are_spread"]

if TYPE_CHECKING:

    class GrpoTrainer:
        """What is used of `trl.GRPOTrainer`."""

        accelerator: Any
        args: Any
        model: Any
        ref_model: Any
        state: Any
        control: Any
        is_fsdp_enabled: bool
        is_deepspeed_enabled: bool
        num_generations: int
        num_generations_eval: int
        eos_token_ids: list[int]

        def __init__(self, **options: Any) -> None: ...
        def add_callback(self, callback: Any) -> None: ...  # noqa: D102
        def train(self, resume_from_checkpoint: Any = None) -> Any: ...  # noqa: D102
        def save_model(self, output_dir: str | None = None) -> None: ...  # noqa: D102
        def _tokenize_prompts(self, prompts: list[Any]) -> Any: ...
        def _save_checkpoint(self, model: Any, trial: Any) -> None: ...
        def _calculate_rewards(
            self, inputs: Any, prompts: Any, completions: Any, completion_ids_list: Any
        ) -> Any: ...

else:
    GrpoTrainer = object


def weights_are_spread(trainer: Any) -> bool:
    """Whether each process holds a part of the weights, so that all generate together or not at all."""
    plugin = getattr(trainer.accelerator.state, "deepspeed_plugin", None)
    return bool(trainer.is_fsdp_enabled or (plugin is not None and plugin.zero_stage == 3))
