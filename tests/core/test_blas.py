"""Threads of the linear algebra, as the library itself tells them."""

from __future__ import annotations

from threadpoolctl import threadpool_info, threadpool_limits

from napari_subangstrom_cdi.core.crystal.blas import one_blas_thread


def threads() -> list[int]:
    return [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]


def test_one_thread_inside_and_as_many_as_before_outside():
    with threadpool_limits(limits=2, user_api="blas"):
        before = threads()
        with one_blas_thread():
            assert 1 in threads()
        assert threads() == before
