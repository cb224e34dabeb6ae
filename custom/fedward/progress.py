"""Progress bars for work on many files, and the one way to spread such work over processes."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import active_children, get_context
from typing import TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from fedward.errors import FedwardError

Item = TypeVar("Item")
Result = TypeVar("Result")


def map_in_processes(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    label: str,
    workers: int = 0,
    quiet: bool = False,
    chunk: int = 1,
) -> Iterator[Result]:
    """Yield `function(item)` for each item, in the order of `items`, computed in parallel under a progress bar.

    `function` must be importable (top level of a module). `workers` 0 means one per core; 1 stays in this process.
    A worker takes `chunk` items at a time: many for short work, because handing one over costs a fraction of a ms.
    The bar goes to standard error and is shown on a terminal only. Closing the generator ends the workers. Where its
    reader is slow they wait, so that results do not fill the memory.

    Raises FedwardError where a worker was killed, and what `function` raises.
    """
    from os import cpu_count

    workers = min(workers or cpu_count() or 1, max(-(-len(items) // chunk), 1))
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=quiet or not console.is_terminal) as progress:
        task = progress.add_task(label, total=len(items))
        if workers == 1:
            for item in items:
                yield function(item)
                progress.advance(task)
            return
        others = set(active_children())
        pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"))
        try:
            for result in _in_order(pool, function, items, chunk, 2 * workers):
                yield result
                progress.advance(task)
        except BrokenProcessPool as error:
            raise FedwardError(
                f"{label}: one of {workers} worker processes was killed, mostly for lack of memory: free memory, or "
                "give fewer with --workers (of a job: fedward preprocess has it, and the job takes what that made)"
            ) from error
        except BaseException:  # an error or an interruption: nobody wants the rest, which may take minutes
            started = set(active_children()) - others
            pool.shutdown(wait=False, cancel_futures=True)
            for worker in started:
                worker.terminate()
            for worker in started:
                worker.join()
            raise
        pool.shutdown()


def _in_order(
    pool: ProcessPoolExecutor, function: Callable[[Item], Result], items: Sequence[Item], chunk: int, ahead: int
) -> Iterator[Result]:
    """Results in the order of the items; no more than `ahead` chunks are given away before their results are read."""
    waiting: deque[Future[list[Result]]] = deque()
    for start in range(0, len(items), chunk):
        if len(waiting) == ahead:
            yield from waiting.popleft().result()
        waiting.append(pool.submit(_each, function, items[start : start + chunk]))
    while waiting:
        yield from waiting.popleft().result()


def _each(function: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    return [function(item) for item in items]
