"""What is done in a later turn of the event loop ends with what it is for, on every Qt binding."""

from __future__ import annotations

from qtpy.compat import isalive
from qtpy.QtCore import QCoreApplication, QEvent, QObject

from napari_subangstrom_cdi.gui.loop.later import later, once


def test_what_is_to_be_done_later_is_dropped_with_its_owner_and_does_not_heap_up(qtbot):
    done, stays, goes = [], QObject(), QObject()
    for owner, name in ((goes, "gone"), (stays, "stays")):
        later(owner, lambda name=name: done.append(name))
    once(goes, lambda: done.append("timer of what is gone")).start()
    goes.deleteLater()
    QCoreApplication.sendPostedEvents(goes, QEvent.Type.DeferredDelete.value)
    assert not isalive(goes) and done == []
    qtbot.waitUntil(lambda: bool(done))
    qtbot.wait(50)
    assert done == ["stays"]
    for name in ("again", "and again"):
        later(stays, lambda name=name: done.append(name))
    qtbot.waitUntil(lambda: done == ["stays", "again", "and again"])
    assert len(stays.children()) == 1


def test_what_is_to_be_done_later_comes_in_turn_and_before_a_deletion_asked_for_after_it(qtbot):
    done, owner = [], QObject()
    owner.destroyed.connect(lambda: done.append("deleted"))
    later(owner, lambda: later(owner, lambda: done.append("third")))
    later(owner, lambda: done.append("first"))
    later(owner, lambda: done.append("second"))
    assert done == []
    qtbot.waitUntil(lambda: "third" in done)
    later(owner, lambda: done.append("fourth"))
    owner.deleteLater()
    qtbot.waitUntil(lambda: not isalive(owner))
    assert done == ["first", "second", "third", "fourth", "deleted"]


def test_a_timer_does_its_task_once_however_often_it_was_started(qtbot):
    done, owner = [], QObject()
    timer = once(owner, lambda: done.append(1))
    for _ in range(3):
        timer.start()
    qtbot.waitUntil(lambda: bool(done))
    qtbot.wait(50)
    assert done == [1]
    timer.start()
    qtbot.waitUntil(lambda: len(done) == 2)
