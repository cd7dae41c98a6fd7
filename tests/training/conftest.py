"""A tiny model that has learnt to answer, so that its rollouts earn rewards that differ."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")

torch = pytest.importorskip("torch", reason="needs the extra: pip install 'catagent[train]'")
pytest.importorskip("trl", reason="needs the extra: pip install 'catagent[train]'")

from catagent.training import CaTConfig, CaTTrainer  # noqa: E402
from tests.training import tiny  # noqa: E402

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def taught() -> Any:
    """The weights of a model that answers `\\boxed{…}`."""
    return tiny.taught()


@pytest.fixture
def trainer(tmp_path: Path, taught: Any) -> Iterator[Callable[..., Any]]:
    """Makes trainers over the tiny model, and closes them."""
    made: list[Any] = []

    def make(
        *,
        data: Any = None,
        held_out: Any = None,
        out: str = "run",
        model: Any = None,
        options: dict[str, Any] | None = None,
        **config: Any,
    ) -> Any:
        built = CaTTrainer(
            model=tiny.model(weights=taught) if model is None else model,
            processing_class=tiny.tokenizer(),
            train_dataset=tiny.rows() if data is None else data,
            eval_dataset=held_out,
            args=CaTConfig(**{**tiny.SETTINGS, **config}),
            output_dir=tmp_path / out,
            **(options or {}),
        )
        made.append(built)
        return built

    yield make
    for one in made:
        one.close()
