"""What ends a training run before its last step, with a checkpoint to go on from."""

from __future__ import annotations

from catagent.errors import CatError

__all__ = ["TrainingStopped"]


class TrainingStopped(CatError):
    """Training stopped on purpose: a judge that does not answer, or a collapse. It says how to go on.

    `checkpoint` is the folder that `resume_from_checkpoint` takes, `None` when none could be written.
    """

    def __init__(self, message: str, checkpoint: str | None = None) -> None:
        super().__init__(message)
        self.checkpoint = checkpoint
