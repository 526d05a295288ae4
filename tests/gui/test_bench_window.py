"""The window's benchmark, with a small job: it opens, measures and closes, and its figures are figures."""

from __future__ import annotations

import json
import math

import napari

from napari_subangstrom_cdi.gui.window import bench_window
from napari_subangstrom_cdi.gui.window.bench_window import format_window_bench, measure_in_a_window


def test_figures_of_a_small_job(prepared_job, monkeypatch, qapp):
    monkeypatch.setattr(bench_window, "_COMPARED_MEMBERS", 2)
    result = measure_in_a_window(prepared_job.plan, 10.0, pairs=1)
    assert result.members == 2 and result.frames > 0 and result.seconds > 0
    assert 0 <= result.late_share <= 1
    assert 0 <= result.late_median_ms <= result.late_99_ms <= result.late_worst_ms
    assert math.isfinite(result.slowdown) and result.slowdown > -1
    assert json.loads(result.to_json())["members"] == 2
    assert "2 members" in format_window_bench(result)
    assert napari.current_viewer() is None
