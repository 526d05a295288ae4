"""Previews: what is outdated is not begun, errors are told, and no thread stays."""

from __future__ import annotations

import threading

import pytest

from napari_subangstrom_cdi.errors import InputError
from napari_subangstrom_cdi.gui.loop.previews import Previews


@pytest.fixture
def previews(qtbot):
    previews = Previews()
    yield previews
    previews.close()


@pytest.fixture
def told(previews):
    told = []
    previews.ready.connect(lambda name, value: told.append((name, value)))
    previews.refused.connect(lambda name, why: told.append((name, why)))
    return told


def test_what_waits_is_replaced_and_the_newest_is_told_last(previews, told, qtbot):
    gate, begun = threading.Event(), []

    def task(number):
        def work():
            begun.append(number)
            gate.wait(5)
            return number

        return work

    previews.ask("a", task(0))
    qtbot.waitUntil(lambda: begun == [0])
    for number in range(1, 5):
        previews.ask("a", task(number))
    previews.ask("b", task("other"))
    gate.set()
    qtbot.waitUntil(lambda: not previews.busy)
    assert begun == [0, 4, "other"]
    assert told == [("a", 0), ("a", 4), ("b", "other")]
    assert all("preview" not in thread.name for thread in threading.enumerate())


def test_what_is_forgotten_is_not_told(previews, told, qtbot):
    previews.ask("a", lambda: "old")
    previews.forget("a")
    previews.ask("a", lambda: "new")
    qtbot.waitUntil(lambda: not previews.busy)
    assert told == [("a", "new")]


def test_a_refusal_and_an_accident_are_told_in_words(previews, told, qtbot):
    def refuse():
        raise InputError("no particle", mend="look again")

    previews.ask("a", refuse)
    previews.ask("b", lambda: 1 / 0)
    qtbot.waitUntil(lambda: not previews.busy)
    assert told[0] == ("a", "no particle; look again")
    assert told[1] == ("b", "unexpected ZeroDivisionError: division by zero")
