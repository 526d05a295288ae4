"""How many threads the linear algebra library takes."""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import cache

from threadpoolctl import ThreadpoolController


def one_blas_thread() -> AbstractContextManager[object]:
    """Inside, numpy's linear algebra runs in the calling thread alone.

    An eigenvalue problem of some hundred beams is no faster with two threads; but its many short parallel parts wait
    for one another, and on a processor that also draws a window they wait up to a hundred times as long.
    """
    return _controller().limit(limits=1, user_api="blas")


@cache
def _controller() -> ThreadpoolController:
    import numpy.linalg  # noqa: F401  # only libraries that are loaded are found

    return ThreadpoolController()
