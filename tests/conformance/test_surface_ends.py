"""Closed surfaces, ended producers and their successors, for every kind of memory."""

import io

import numpy as np
import pytest
from support.origin import KnownEnd
from support.surfaces import HEIGHT, WIDTH, Later, picture

from kju.errors import (
    ClosedError,
    ProducerGoneError,
    WaitTimeoutError,
)
from kju.surface import NOTHING_TAKEN, State
from kju.surface.geometry import Rect

# ---- Ends


#: Kinds whose address can lead to another surface; the system chooses numbers and descriptors.
NAMED = pytest.mark.parametrize("kind", ["file", "posix"], indirect=True)


def test_closed_surface_raises(surface, shown, api):
    surface.close()
    surface.close()
    calls = [
        surface.view,
        surface.frame,
        surface.changes_since,
        lambda: surface.mode,
        lambda: surface.mark,
        lambda: surface.state,
        lambda: surface.cursor,
        lambda: surface.version,
        lambda: surface.screenshot(io.BytesIO()),
        lambda: api.wait(surface, NOTHING_TAKEN, timeout=1),
        lambda: api.take(surface, 1),
    ]
    for call in calls:
        with pytest.raises(ClosedError):
            call()
    assert "closed" in repr(surface)


def test_close_ends_waits(surface, shown, api):
    waiting = Later(lambda: api.wait(surface, surface.mark, timeout=30))
    surface.close()
    with pytest.raises(ClosedError):
        waiting.join()


@pytest.mark.parametrize(
    ("state", "reason"), [(State.CLOSED, "closed"), (State.GONE, "QEMU has ended")]
)
def test_end_of_a_producer_is_raised_with_its_reason(kind, api, state, reason):
    producer = kind.create()
    producer.set_mode(WIDTH, HEIGHT, source=picture())
    surface = kind.open(api.form, producer)
    mark = surface.mark
    waiting = Later(lambda: api.wait(surface, mark))
    producer.draw(Rect(0, 0, 1, 1), b"abcd")
    waiting.join()  # the last publication is received first
    mark = surface.mark
    waiting = Later(lambda: api.wait(surface, mark))
    producer.close(state, reason)
    with pytest.raises(ProducerGoneError, match=reason):
        waiting.join()
    with pytest.raises(ProducerGoneError):
        api.take(surface, 2)
    assert surface.frame(pixels="bgrx")[0, 0].tobytes() == b"abcd"  # its last picture
    surface.close()


def test_last_picture_before_the_end_is_received(kind, api, monkeypatch):
    """The producer draws and closes at any moment, between two reads too."""
    producer = kind.create()
    producer.set_mode(WIDTH, HEIGHT)
    surface = kind.open(api.form, producer)
    original = surface._raise_if_gone

    def meanwhile():
        if not producer.memory.closed:
            producer.draw(Rect(0, 0, 1, 1), b"last")
            producer.close()
        original()

    monkeypatch.setattr(surface, "_raise_if_gone", meanwhile)
    change = api.wait(surface, timeout=30)
    assert change.rects == [Rect(0, 0, 32, 32)]
    with pytest.raises(ProducerGoneError):
        api.wait(surface, change.mark, timeout=30)
    surface.close()


@pytest.mark.parametrize("kind", ["memfd"], indirect=True)
def test_end_reason_of_the_origin_is_reported(kind, api, producer, shown):
    """Only a host's surface has an origin that knows the reason."""
    import os

    why = []
    fd = os.dup(producer.memory.fileno())
    surface = api.form(KnownEnd(fd, lambda: why[0] if why else None))
    with pytest.raises(WaitTimeoutError):
        api.wait(surface, timeout=0.01)
    why.append("the host has hung up")
    with pytest.raises(ProducerGoneError, match="hung up"):
        api.wait(surface)
    surface.close()


@NAMED
def test_next_producer_is_followed(kind, api):
    first = kind.create()
    first.set_mode(WIDTH, HEIGHT, source=picture(1))
    surface = kind.open(api.form, first, follow=True)
    plain = kind.open(api.form, first)
    (change,) = api.take(surface, 1)
    waiting = Later(lambda: api.wait(surface, change.mark, timeout=30))
    first.close()
    second = kind.create()
    second.set_mode(64, 48, source=picture(2, 64, 48))
    found = waiting.join()
    while found.mode.epoch == 0 or not found.rects:
        found = api.wait(surface, found.mark, timeout=30)
    assert found.everything and found.rects == [Rect(0, 0, 64, 48)]
    assert found.mark.incarnation == second.incarnation == surface.incarnation
    assert np.array_equal(surface.frame(pixels="bgrx"), picture(2, 64, 48))
    # without follow it is an error
    with pytest.raises(ProducerGoneError):
        api.wait(plain)
    with pytest.raises(ProducerGoneError):
        plain.frame()
    surface.close()
    plain.close()


@NAMED
def test_frame_is_of_the_next_producer(kind, api):
    first = kind.create()
    first.set_mode(WIDTH, HEIGHT)
    surface = kind.open(api.form, first, follow=True)
    frame = surface.frame(pixels="bgrx")
    first.close()
    assert not surface.frame().any()  # the next producer has not published yet
    second = kind.create()
    second.set_mode(64, 48, source=picture(2, 64, 48))
    assert np.array_equal(surface.frame(pixels="bgrx"), picture(2, 64, 48))
    assert frame.stale
    surface.close()


@NAMED
def test_view_is_of_the_next_producer(kind, api):
    """It has the new surface's memory and mode."""
    first = kind.create(capacity=64 * 48 * 4)
    first.set_mode(64, 48)
    surface = kind.open(api.form, first, follow=True)
    old = surface.view()
    first.close()
    second = kind.create()
    second.set_mode(WIDTH, HEIGHT, source=picture(2))
    assert np.array_equal(surface.view(), picture(2))
    assert old.stale and not old.any()
    surface.close()


@NAMED
def test_second_producer_of_a_name_is_an_error(kind, producer):
    from kju.errors import ConflictError

    with pytest.raises(ConflictError, match="alive"):
        kind.create()
