"""The live plot of R: what comes in is drawn, read out under the mouse, and exported."""

from __future__ import annotations

import csv
import math
from itertools import pairwise

import numpy as np
import pytest
from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtGui import QColor, QImage
from qtpy.QtWidgets import QFileDialog, QLabel, QToolButton

from napari_subangstrom_cdi.errors import InputError
from napari_subangstrom_cdi.gui.plots.r_plot import RPlot, RunNumbers
from napari_subangstrom_cdi.gui.widgets.style import COLOURS, STATES, StateBadge, StatusLine, primary_button, theme_of

STAGES = [("image", 20), ("real", 75), ("complex", 75)]


@pytest.fixture
def plot(qtbot):
    plot = RPlot()
    qtbot.addWidget(plot)
    plot.resize(380, 420)
    plot.show()
    qtbot.waitExposed(plot)
    return plot


def falling(n: int = 170, floor: float = 0.03) -> list[float]:
    return (floor + 0.6 * np.exp(-np.arange(n) / 25)).tolist()


def readout(plot: RPlot) -> str:
    return plot.findChild(QLabel, "r_readout").text().replace("\u00a0", " ")


def hover(qtbot, plot: RPlot, iteration: float, r: float) -> None:
    graphics = plot._graphics
    scene = plot._upper.getViewBox().mapViewToScene(QPointF(iteration, math.log10(r)))
    qtbot.mouseMove(graphics.viewport(), graphics.mapFromScene(scene))
    qtbot.wait(30)


def pixels(widget, colour: str) -> int:
    """How many pixels of a grabbed widget have (nearly) a colour."""
    image = widget.grab().toImage().convertToFormat(QImage.Format.Format_RGB32)
    data = image.constBits()
    data = data.asarray(image.sizeInBytes()) if hasattr(data, "asarray") else data
    array = np.frombuffer(bytes(data), np.uint8).reshape(image.height(), image.width(), 4)[..., 2::-1].astype(int)
    wanted = QColor(colour)
    return int((np.abs(array - [wanted.red(), wanted.green(), wanted.blue()]).max(axis=-1) < 12).sum())


def test_values_are_drawn_in_their_colours(plot, qtbot):
    plot.start(STAGES, 3)
    qtbot.wait(50)
    before = pixels(plot._graphics, COLOURS["dark"].r)
    plot.append(0, 1, falling(), falling(floor=0.05))
    qtbot.wait(50)
    assert pixels(plot._graphics, COLOURS["dark"].r) > before + 100
    assert pixels(plot._graphics, COLOURS["dark"].free_r) > 50
    plot.set_theme("light")
    qtbot.wait(50)
    assert pixels(plot._graphics, COLOURS["dark"].r) == 0
    assert pixels(plot._graphics, COLOURS["light"].r) > 100


def test_readout_follows_the_mouse_and_names_member_stage_and_values(plot, qtbot):
    plot.start(STAGES, 2)
    plot.append(0, 1, falling(floor=0.2), falling(floor=0.25))
    plot.append(1, 1, falling(50), [math.nan] * 50)
    qtbot.wait(50)
    assert readout(plot).startswith("Member 2, iteration 50 (real 30/75): R")  # the latest, without a mouse
    assert "free" not in readout(plot)
    hover(qtbot, plot, 120, 0.2)
    assert readout(plot) == "Member 1, iteration 120 (complex 25/75): R 20.5 %, free R 25.5 %"
    hover(qtbot, plot, 30, falling()[29])
    assert readout(plot).startswith("Member 2, iteration 30 (real 10/75): R")
    qtbot.mouseMove(plot._graphics.viewport(), QPoint(1, 1))  # on the axis
    qtbot.wait(30)
    assert readout(plot).startswith("Member 2, iteration 50")


def test_stage_names_stand_at_their_boundaries(plot, qtbot):
    plot.start(STAGES, 1)
    qtbot.wait(50)
    lines = [(line.value(), label.textItem.toPlainText()) for line, label, *_ in plot._boundaries]
    assert lines == [(0.5, "image"), (20.5, "real"), (95.5, "complex")]
    shapes = [label.mapRectToScene(label.boundingRect()) for _, label, *_ in plot._boundaries]
    assert not any(a.intersects(b) for a, b in pairwise(shapes))


def test_a_mark_tells_its_text_under_the_mouse(plot, qtbot):
    plot.start(STAGES, 1)
    plot.mark(0, 31, "α 0.9 → 0.8")  # before the iteration has come
    plot.append(0, 1, falling(60), falling(60))
    qtbot.wait(50)
    assert pixels(plot._graphics, COLOURS["dark"].mark) > 10
    hover(qtbot, plot, 31, falling()[30])
    assert "α 0.9 → 0.8" in readout(plot)
    assert "α 0.9 → 0.8" in plot._upper.getViewBox().toolTip()


def test_agreement_of_earlier_members_is_a_curve_without_breaks_between_its_samples(plot):
    plot.start([("a", 20)], 2)
    for member in range(2):
        plot.append(member, 1, [0.2] * 20, [0.3] * 20)
        plot.add_agreements(member, [(4, 0.4), (12, 0.8)])
    x, y = plot._earlier_agreement.getData()
    inside = (x >= 4) & (x <= 12)
    np.testing.assert_allclose(y[inside], 0.4 + 0.05 * (x[inside] - 4))
    assert np.isnan(y[~inside]).all()


def test_agreement_opens_a_second_plot(plot, qtbot):
    plot.start(STAGES, 1)
    plot.append(0, 1, falling(40), falling(40))
    assert not plot._lower.isVisible()
    plot.add_agreement(0, 10, 0.5)
    plot.add_agreement(0, 40, 0.9)
    qtbot.wait(50)
    assert plot._lower.isVisible()
    assert plot._lower.getViewBox().height() > 20
    assert pixels(plot._graphics, COLOURS["dark"].agreement) > 20
    hover(qtbot, plot, 10, falling()[9])
    assert readout(plot).endswith("image 0.500")
    plot.start(STAGES, 1)
    assert not plot._lower.isVisible()


def test_odd_values_are_not_drawn_and_more_iterations_than_said_are(plot):
    plot.start([("a", 3)], 1)
    plot.append(0, 1, [0.5, 0.0, math.inf], [math.nan] * 3)
    plot.append(0, 4, [0.3, 0.2], [math.nan] * 2)
    assert readout(plot).startswith("Member 1, iteration 5: R 20.0 %")
    with pytest.raises(ValueError, match="from iteration 0"):
        plot.append(0, 0, [0.1], [0.1])
    with pytest.raises(ValueError, match="2 values of R but 1"):
        plot.append(0, 1, [0.1, 0.2], [0.1])


def test_history_draws_the_best_member_kept_and_greys_those_not_kept(plot, qtbot):
    history = np.stack([falling(floor=floor) for floor in (0.10, 0.05, 0.02)])
    ends = [("image", 20), ("real", 95), ("complex", 170)]
    plot.show_history(history, np.full_like(history, np.nan), ends, (True, True, False))
    assert readout(plot).startswith("Member 2, iteration 170 (complex 75/75): R 5.1 %")
    qtbot.wait(50)
    hover(qtbot, plot, 160, 0.021)
    assert readout(plot).startswith("Member 3") and readout(plot).endswith("not kept")
    with pytest.raises(ValueError, match="3 members but 2 flags"):
        plot.show_history(history, history, ends, (True, True))


def test_zoom_with_the_mouse_stays_until_a_double_click(plot, qtbot):
    plot.start(STAGES, 1)
    plot.append(0, 1, falling(), falling())
    qtbot.wait(50)
    box, viewport = plot._upper.getViewBox(), plot._graphics.viewport()
    whole = box.viewRange()
    corners = [plot._graphics.mapFromScene(box.mapViewToScene(QPointF(*p))) for p in ((60, -0.3), (140, -1.3))]
    qtbot.mousePress(viewport, Qt.MouseButton.LeftButton, pos=corners[0])
    for share in (0.3, 0.6, 1.0):
        step = corners[0] + (corners[1] - corners[0]) * share
        qtbot.mouseMove(viewport, step)
        qtbot.wait(30)
    qtbot.mouseRelease(viewport, Qt.MouseButton.LeftButton, pos=corners[1])
    qtbot.wait(50)
    zoomed = box.viewRange()
    assert zoomed[0] == pytest.approx([60, 140], abs=3)
    plot.append(0, 100, [0.001], [0.001])
    assert box.viewRange() == zoomed
    qtbot.mouseDClick(viewport, Qt.MouseButton.LeftButton, pos=corners[0])
    assert box.viewRange()[0] == pytest.approx(whole[0])


def test_csv_holds_every_value(plot, tmp_path):
    plot.start([("a", 2), ("b", 2)], 2)
    plot.append(0, 1, [0.5, 0.25, 0.125, 0.1], [0.6, math.nan, 0.2, 0.15])
    plot.append(1, 1, [0.4], [0.45])
    plot.add_agreement(0, 2, 0.875)
    plot.mark(0, 3, "β 0.8 → 0.7, by hand")
    plot.export_csv(tmp_path / "r.csv")
    with open(tmp_path / "r.csv", newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert [(row["member"], row["iteration"], row["stage"]) for row in rows] == [
        ("1", "1", "a"),
        ("1", "2", "a"),
        ("1", "3", "b"),
        ("1", "4", "b"),
        ("2", "1", "a"),
    ]
    assert rows[1] == {
        "member": "1",
        "iteration": "2",
        "stage": "a",
        "r": "0.25",
        "free_r": "",
        "image_agreement": "0.875",
        "mark": "",
    }
    assert rows[2]["mark"] == "β 0.8 → 0.7, by hand"
    with pytest.raises(InputError, match="does not exist"):
        plot.export_csv(tmp_path / "nowhere" / "r.csv")


def test_menu_exports_and_says_what_went_wrong(plot, qtbot, tmp_path, monkeypatch):
    plot.start(STAGES, 1)
    plot.append(0, 1, falling(), falling())
    menu = plot.findChild(QToolButton, "r_menu").menu()
    actions = {action.text(): action for action in menu.actions()}
    assert set(actions) == {action.text() for action in plot._graphics.actions()}  # the right click has them too
    path = tmp_path / "r.png"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(path), ""))
    actions["Export PNG…"].trigger()
    picture = QImage(str(path))
    assert picture.width() >= 2000
    message = plot.findChild(StatusLine)
    assert message.isVisible() and "r.png" in message.text()
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(tmp_path / "no" / "r.csv"), ""))
    actions["Export CSV…"].trigger()
    assert message.level() == "error" and "does not exist" in message.text()
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: ("", ""))
    actions["Export CSV…"].trigger()
    assert [entry.name for entry in tmp_path.iterdir()] == ["r.png"]


def test_numbers_change_one_by_one_and_can_be_selected(qtbot):
    numbers = RunNumbers()
    qtbot.addWidget(numbers)
    numbers.show()
    qtbot.waitExposed(numbers)
    assert numbers.text("r") == "–"
    numbers.set(member=3, members=20, stage="real", iteration=7, iterations=170, r=0.1234, free_r=math.nan)
    numbers.set(r=0.0567, agreement=0.9534, rate=41.26, seconds_left=63.2)
    shown = [
        numbers.text(name) for name in ("member", "stage", "iteration", "r", "free_r", "agreement", "rate", "time")
    ]
    assert shown == [" 3/20", "real", "  7/170", "5.7 %", "–", "0.953", "41.3", "1 m 04 s"]
    numbers.set(seconds_left=2)
    assert numbers.text("time") == "2 s"
    numbers.set(seconds_left=7384)
    assert numbers.text("time") == "2 h 03 m"
    numbers.set(stage="with image")
    stage = numbers.findChild(QLabel, "run_stage")
    assert stage.text() == "with i…" and "with image" in stage.toolTip()
    label = numbers.findChild(QLabel, "run_r")
    qtbot.mouseDClick(label, Qt.MouseButton.LeftButton, pos=QPoint(6, label.height() // 2))
    assert label.selectedText()
    numbers.clear()
    assert numbers.text("member") == numbers.text("time") == "–"


def contrast(one: str, other: str) -> float:
    """Of WCAG 2."""

    def luminance(colour: str) -> float:
        parts = np.array(QColor(colour).getRgbF()[:3])
        linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
        return float(linear @ [0.2126, 0.7152, 0.0722])

    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_colours_are_readable_on_the_theme(theme):
    from napari.utils.theme import get_theme

    ground = get_theme(theme).background.as_hex(format="long")
    for name, colour in vars(COLOURS[theme]).items():
        assert contrast(colour, ground) >= 4.5, name


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_badges_and_messages_take_the_theme(qtbot, theme):
    from napari.qt import get_stylesheet
    from qtpy.QtWidgets import QVBoxLayout, QWidget

    ground = QWidget()
    qtbot.addWidget(ground)
    ground.setStyleSheet(get_stylesheet(theme))
    layout = QVBoxLayout(ground)
    badges = {state: StateBadge(state) for state in STATES}
    for badge in badges.values():
        layout.addWidget(badge)
    line = StatusLine()
    layout.addWidget(line)
    layout.addWidget(primary_button("Run", "Do it"))
    ground.show()
    qtbot.waitExposed(ground)
    assert theme_of(badges["done"]) == theme
    assert pixels(badges["failed"], COLOURS[theme].error) > 3
    glyphs = {
        state: badge._glyph.grab().toImage().convertToFormat(QImage.Format.Format_Mono)
        for state, badge in badges.items()
    }
    assert len({bytes_of(image) for image in glyphs.values()}) == len(STATES)  # the shapes alone tell
    assert not line.isVisible()
    line.show_message("something <b>odd</b>", "error")
    assert line.text() == "Error: something <b>odd</b>" and line.isVisible()
    qtbot.wait(20)
    assert pixels(line, COLOURS[theme].error) > 5
    line.clear_message()
    assert not line.isVisible()
    with pytest.raises(ValueError, match="unknown state"):
        badges["done"].set_state("nearly")


def bytes_of(image: QImage) -> bytes:
    data = image.constBits()
    return bytes(data.asarray(image.sizeInBytes()) if hasattr(data, "asarray") else data)
