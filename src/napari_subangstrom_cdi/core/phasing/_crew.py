"""Threads that share out numbered tasks."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

Space = TypeVar("Space")
Result = TypeVar("Result")


def default_workers() -> int:
    """Threads for the transforms: the processors this process may use, at most eight."""
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(8, available))


class Crew(Generic[Space]):
    """Threads that share out numbered tasks; the caller is one of them.

    Parameters
    ----------
    workers : int
        How many, with the caller.
    new_space : callable
        Makes the scratch space of one thread, which each of its tasks is given.
    """

    def __init__(self, workers: int, new_space: Callable[[], Space]) -> None:
        self._spaces = [new_space() for _ in range(workers)]
        self._pool = ThreadPoolExecutor(workers - 1, thread_name_prefix="retrieval") if workers > 1 else None

    def close(self) -> None:
        """End the threads; tasks given later are done by the caller alone."""
        if self._pool is not None:
            self._pool.shutdown(wait=True)
            self._pool = None

    def run(self, task: Callable[[int, Space], Result], count: int) -> list[Result]:
        """Results of tasks 0 to ``count - 1``, in this order."""
        waiting = deque(range(count))
        results: dict[int, Result] = {}

        def work(space: Space) -> None:
            while True:
                try:
                    k = waiting.popleft()
                except IndexError:
                    return
                results[k] = task(k, space)

        others = [self._pool.submit(work, space) for space in self._spaces[1:count]] if self._pool else []
        work(self._spaces[0])
        for other in others:
            other.result()
        return [results[k] for k in range(count)]
