"""The thread that sleeps for all who wait, on a surface in a bytearray."""

import threading

import pytest

from kju.client.aio import waiting
from kju.client.aio.waiting import Notifier, SeenSurface
from kju.surface import State, surface_size
from kju.surface.consumer import Consumer
from kju.surface.geometry import Rect
from kju.surface.producer import Producer


@pytest.fixture
def producer():
    memory = bytearray(surface_size(4096, max_side=32))
    producer = Producer.format(memory, 4096, incarnation=1, max_side=32)
    producer.set_mode(32, 32)
    producer.reader = Consumer(memory).reader
    return producer


class Waiter:
    def __init__(self, notifier, reader, version=None, cursor=-1):
        self.called = threading.Event()
        seen = reader.version if version is None else version
        self.number = notifier.add(SeenSurface(reader, seen, State.LIVE, cursor), self.called.set)


def test_all_are_called_when_the_version_moves(producer):
    notifier = Notifier()
    waiters = [Waiter(notifier, producer.reader) for _ in range(50)]
    assert not any(w.called.is_set() for w in waiters)
    producer.draw(Rect(0, 0, 1, 1), b"abcd")
    assert all(w.called.wait(30) for w in waiters)


def test_all_are_called_when_the_state_moves(producer):
    notifier = Notifier()
    waiters = [Waiter(notifier, producer.reader) for _ in range(3)]
    producer.set_state(State.CLOSED)
    assert all(w.called.wait(30) for w in waiters)


def test_only_those_that_asked_are_called_when_the_cursor_moves(producer):
    notifier = Notifier()
    others = [Waiter(notifier, producer.reader) for _ in range(2)]
    follows = Waiter(notifier, producer.reader, cursor=producer.reader.cursor_version)
    producer.move_cursor(3, 4, True)
    assert follows.called.wait(30)
    late = Waiter(notifier, producer.reader, cursor=producer.reader.cursor_version - 1)
    assert late.called.is_set()
    assert not any(each.called.is_set() for each in others)


def test_one_who_is_late_is_called_at_once(producer):
    """The thread sleeps on what another has seen, and would not look for half a second."""
    notifier = Notifier()
    Waiter(notifier, producer.reader)
    late = Waiter(notifier, producer.reader, version=producer.version - 1)
    assert late.called.is_set()


def test_waiters_that_nobody_removes_do_not_keep_the_thread(producer, monkeypatch):
    monkeypatch.setattr(waiting, "_ABANDONED_SECONDS", 0.01)
    before = set(threading.enumerate())
    notifier = Notifier()
    Waiter(notifier, producer.reader)
    (thread,) = set(threading.enumerate()) - before
    thread.join(30)
    assert not thread.is_alive()
    monkeypatch.undo()
    late = Waiter(notifier, producer.reader)  # and it starts again
    producer.draw(Rect(0, 0, 1, 1), b"abcd")
    assert late.called.wait(30)


def test_one_who_went_is_not_called(producer):
    notifier = Notifier()
    gone, stays = Waiter(notifier, producer.reader), Waiter(notifier, producer.reader)
    notifier.remove(gone.number)
    notifier.remove(gone.number)
    producer.draw(Rect(0, 0, 1, 1), b"abcd")
    assert stays.called.wait(30)
    assert not gone.called.is_set()
