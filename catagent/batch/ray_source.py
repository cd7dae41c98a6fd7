"""The pipeline of Ray Data: blocks from the desk, an actor pool of workers, outcomes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from catagent.batch.ray_options import RayOptions

__all__ = ["pipeline"]


def pipeline(
    ray: Any,
    options: RayOptions,
    desk: Any,
    worker: type,
    arguments: tuple[Any, ...],
    known: dict[str, Any],
) -> Iterator[tuple[int, bytes, str]]:
    """Number, outcomes and worker of each block, as they are finished.

    One row of the data set is one block of ours, packed: Ray never looks into it. The read task waits at
    the desk, so the data set is as long as the job turns out to be.
    """
    context = ray.data.DataContext.get_current().copy()
    context.target_max_block_size = 1
    context.target_min_block_size = 1
    context.enable_progress_bars = False
    context.execution_options.preserve_order = False
    with _using(ray, context):
        data = ray.data.read_datasource(_source(ray, desk), override_num_blocks=1, num_cpus=0)
        data = data.map_batches(
            worker,
            fn_constructor_args=arguments,
            fn_constructor_kwargs=known,
            batch_size=1,
            batch_format="numpy",
            num_cpus=options.cpus,
            compute=ray.data.ActorPoolStrategy(
                min_size=options.workers or 1,
                max_size=options.workers or _most(ray, options),
                max_tasks_in_flight_per_actor=options.blocks + 1,
                max_concurrent_calls_per_actor=options.blocks,
                enable_true_multi_threading=True,
            ),
        )
        for batch in data.iter_batches(batch_size=1, prefetch_batches=0, batch_format="numpy"):
            yield int(batch["number"][0]), bytes(batch["outcomes"][0]), str(batch["worker"][0])


def _most(ray: Any, options: RayOptions) -> int:
    return max(1, int(ray.cluster_resources().get("CPU", 1) // options.cpus))


class _using:  # noqa: N801 - a context manager
    """A `DataContext` for the data sets made meanwhile."""

    def __init__(self, ray: Any, context: Any) -> None:
        self._of, self._context = ray.data.DataContext, context
        self._before = ray.data.DataContext.get_current()

    def __enter__(self) -> None:
        self._of._set_current(self._context)  # noqa: SLF001 - there is no other way

    def __exit__(self, *_: object) -> None:
        self._of._set_current(self._before)  # noqa: SLF001


def _source(ray: Any, desk: Any) -> Any:
    import pyarrow
    from ray.data.block import BlockMetadata
    from ray.data.datasource import Datasource, ReadTask

    def blocks() -> Iterable[Any]:
        number = 0
        while (rows := ray.get(desk.block.remote(number))) is not None:
            yield pyarrow.table({"number": [number], "rows": pyarrow.array([rows], pyarrow.large_binary())})
            number += 1

    class Blocks(Datasource):  # type: ignore[misc]
        """As many blocks as the desk has."""

        def estimate_inmemory_data_size(self) -> int | None:
            return None

        def get_read_tasks(self, *_: Any, **__: Any) -> list[Any]:
            unknown = BlockMetadata(num_rows=None, size_bytes=None, input_files=None, exec_stats=None)
            return [ReadTask(blocks, unknown)]

    source: Any = Blocks
    return source()
