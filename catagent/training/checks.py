"""Whether the anchor is what it is said to be: equal to the policy before the first step, frozen, and
another model once the policy has moved.

Broken adapter switches and engines that sample from other weights than they should train without an
error. Two short forward passes at a time tell.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from catagent.errors import CatError
from catagent.training.backend import needed

__all__ = ["AnchorCheck"]

_KEPT = 256
_MOVES = ("ema", "policy")


class AnchorCheck:
    """Compares logits on a fixed prompt.

    What the anchor said before the first step is kept in `folder`, so that a resumed run is held to it.
    """

    def __init__(
        self,
        anchor: str,
        policy: Callable[[], AbstractContextManager[Any]],
        weights: Callable[[], AbstractContextManager[Any]],
        probe: Sequence[int],
        folder: Path,
        *,
        write: bool,
    ) -> None:
        self._anchor = anchor
        self._policy = policy
        self._weights = weights
        self._probe = list(probe)
        self._path = folder / "anchor.json"
        self._write = write
        self._trained_at_first: float | None = None
        self.settled = False
        """Whether all is known: equal before, different after."""
        self.distance = 0.0
        """The largest difference between a logit of the policy and of the anchor, when last looked at."""

    def __call__(self, step: int) -> None:
        """Look. Raises `CatError` when the anchor is not what it should be."""
        torch = needed("torch")
        policy, trained = self._logits(self._policy)
        anchor, _ = self._logits(self._weights)
        self.distance = float((policy - anchor).abs().max())
        tolerance = 1e-5 if policy.dtype == torch.float32 else 1e-2
        scale = max(1.0, float(anchor.abs().max()))
        if self._trained_at_first is None:
            self._trained_at_first = trained
        kept = self._kept()
        if step == 0 and kept is None:
            if self.distance > tolerance * scale:
                raise CatError(
                    f"the anchor ({self._anchor}) is not the policy before the first step: their logits "
                    f"differ by {self.distance:.3g}; the adapter does not start at zero, or changes the base"
                )
            self._keep(anchor[:_KEPT].float().tolist())
            return
        if self._anchor not in _MOVES and kept is not None:
            drift = float((torch.tensor(kept) - anchor[:_KEPT].float()).abs().max())
            if drift > max(tolerance, 1e-3) * scale:
                raise CatError(
                    f"the anchor ({self._anchor}) has moved by {drift:.3g} since the first step: it must "
                    "stay frozen; is the checkpoint from another base model?"
                )
        if self._anchor != "policy" and trained != self._trained_at_first:
            if self.distance == 0.0:
                raise CatError(
                    f"the policy has been trained and still says what the anchor ({self._anchor}) says: its "
                    "adapter is not in force"
                )
            self.settled = True

    def _logits(self, weights: Callable[[], AbstractContextManager[Any]]) -> tuple[Any, float]:
        torch = needed("torch")
        with weights() as model, torch.no_grad():
            ids = torch.tensor([self._probe], device=model.device)
            logits = model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits[0, -1].detach().cpu()
            trained = sum(
                float(p.detach().double().abs().sum()) for p in model.parameters() if p.requires_grad
            )
        return logits, trained

    def _kept(self) -> list[float] | None:
        if not self._path.is_file():
            return None
        return list(json.loads(self._path.read_text(encoding="utf-8"))["logits"])

    def _keep(self, logits: list[float]) -> None:
        if self._write:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._path.write_text(json.dumps({"anchor": self._anchor, "logits": logits}), encoding="utf-8")
