"""One request for a size at a time, the newest next."""

from __future__ import annotations

import threading

from support.wait import until

from kju.errors import UsageError
from kju.viewers.guest_size import SizeSender


def test_newest_size_is_sent_after_the_one_under_way():
    sent, errors = [], []
    started, answer = threading.Event(), threading.Event()

    def send(width, height):
        sent.append((width, height))
        started.set()
        assert answer.wait(60)

    sender = SizeSender(send, errors.append)
    sender.request(1, 1)
    assert started.wait(60)
    for side in range(2, 100):
        sender.request(side, side)
    answer.set()
    until(lambda: sent == [(1, 1), (99, 99)])
    until(lambda: not any(t.name == "kju-size" for t in threading.enumerate()), what="its end")
    assert errors == []
    sender.request(5, 5)
    until(lambda: sent[-1] == (5, 5), what="another thread")


def test_reason_of_a_failure_is_reported_and_the_next_size_is_sent():
    errors = []

    def send(width, height):
        if width == 1:
            raise UsageError("this display cannot be resized")

    sender = SizeSender(send, errors.append)
    sender.request(1, 1)
    until(lambda: errors == ["this display cannot be resized"])
    sender.request(2, 2)
    until(lambda: not any(t.name == "kju-size" for t in threading.enumerate()))
    assert len(errors) == 1


def test_discarded_size_is_not_sent():
    sent, started, answer = [], threading.Event(), threading.Event()

    def send(width, height):
        sent.append(width)
        started.set()
        assert answer.wait(60)

    sender = SizeSender(send, sent.append)
    sender.request(1, 1)
    assert started.wait(60)
    sender.request(2, 2)
    sender.discard()
    answer.set()
    until(lambda: not any(t.name == "kju-size" for t in threading.enumerate()))
    assert sent == [1]
