"""Surfaces on every kind of memory, for threads and for asyncio."""

import io
import statistics
import threading
import time

import numpy as np
import pytest
from PIL import Image
from support import oracle
from support.surfaces import HEIGHT, WIDTH, Later, picture

from kju.errors import (
    GeometryError,
    InconsistentError,
    UnavailableError,
    UsageError,
    WaitTimeoutError,
)
from kju.surface import NOTHING_TAKEN, State
from kju.surface.formats import R8, XR24
from kju.surface.geometry import Rect


def read(path):
    with Image.open(path) as image:
        return np.asarray(image)


# ---- Before the first mode


def test_surface_without_a_mode_is_empty(surface, api):
    assert surface.mode.epoch == 0
    assert surface.version == 0
    assert surface.state == (State.LIVE, None)
    for look in (surface.frame, surface.view):
        with pytest.raises(UnavailableError):
            look()
    assert surface.changes_since().rects == []
    with pytest.raises(WaitTimeoutError):
        api.wait(surface, timeout=0.01)


# ---- Pixels


def test_frame_copies_the_pixels(surface, shown, producer):
    frame = surface.frame(pixels="bgrx")
    assert np.array_equal(frame, shown)
    assert frame.shape == (HEIGHT, WIDTH, 4) and frame.dtype == np.uint8
    assert frame.flags.c_contiguous and frame.flags.writeable
    assert (frame.version, frame.mode, frame.consistent, frame.live) == (
        1,
        surface.mode,
        False,
        False,
    )
    assert not frame.stale
    producer.draw(Rect(0, 0, 1, 1), b"\0\0\0\0")
    assert np.array_equal(frame, shown)  # its own memory
    frame[:] = 7
    assert not np.array_equal(surface.frame(pixels="bgrx"), frame)


def test_kept_frames_do_not_share_memory(kind, api):
    producer = kind.create(capacity=400 * 400 * 4)  # above the size from which memory is reused
    surface = kind.open(api.form, producer)
    kept = []
    for value in range(6):
        producer.set_mode(400, 400, source=np.full((400, 400, 4), value, np.uint8))
        kept.append(surface.frame(pixels="bgrx"))
        surface.frame()  # and dropped
    assert [int(frame.min()) for frame in kept] == [int(frame.max()) for frame in kept]
    assert [int(frame[0, 0, 0]) for frame in kept] == list(range(6))
    surface.close()


@pytest.mark.parametrize("consistent", [False, True])
@pytest.mark.parametrize("name", ["bgrx", "rgb", "rgba", "grey"])
@pytest.mark.parametrize(
    "rect", [None, Rect(3, 5, 50, 41), Rect(127, 95, 1, 1), Rect(0, 7, 128, 2)]
)
def test_frame_of_a_rectangle_in_a_format(surface, shown, rect, name, consistent):
    frame = surface.frame(rect, pixels=name, consistent=consistent)
    r = rect or Rect(0, 0, WIDTH, HEIGHT)
    expected = oracle.convert_out(name, shown)[r.y : r.bottom, r.x : r.right]
    assert frame.shape == expected.shape
    assert np.array_equal(frame, expected)
    assert frame.consistent is consistent


BAD_RECTS = [
    Rect(0, 0, 129, 1),
    Rect(0, 0, 1, 97),
    Rect(-1, 0, 2, 2),
    Rect(5, 5, -1, 2),
    Rect(0, 0, 1 << 40, 1 << 40),
    Rect(1 << 70, 0, 1, 1),
]


@pytest.mark.parametrize("rect", BAD_RECTS)
def test_rectangle_outside_is_an_error(surface, shown, rect):
    for look in (surface.view, surface.frame):
        with pytest.raises(GeometryError):
            look(rect)


def test_unknown_format_is_an_error(surface, shown):
    with pytest.raises(UsageError, match="rgb, rgba, bgrx, grey"):
        surface.frame(pixels="yuv")


def test_consistent_frame_is_of_one_version(surface, shown, producer):
    producer.begin()
    producer.pixels[:] = 0
    assert not surface.frame().any()  # the newest pixels, perhaps of two versions
    with pytest.raises(InconsistentError):
        surface.frame(consistent=True)
    producer.publish([Rect(0, 0, WIDTH, HEIGHT)])
    assert surface.frame(consistent=True, pixels="bgrx").version == 2


def test_view_shows_later_changes(surface, shown, producer):
    view = surface.view()
    part = surface.view(Rect(10, 20, 3, 4))
    assert np.array_equal(view, shown)
    assert view.live
    assert np.shares_memory(view, part)
    assert np.array_equal(part, shown[20:24, 10:13])
    producer.draw(Rect(10, 20, 1, 1), b"wxyz")
    assert view[20, 10].tobytes() == part[0, 0].tobytes() == b"wxyz"


def test_arrays_are_read_only(surface, shown):
    view = surface.view()
    with pytest.raises(ValueError, match="read-only"):
        view[0, 0] = 0
    with pytest.raises(ValueError, match=r"(?i)writeable"):
        view.flags.writeable = True


def test_views_stay_valid_and_report_that_they_are_stale(surface, shown, producer):
    view, frame = surface.view(), surface.frame(pixels="bgrx")
    assert not view.stale and not frame.stale
    producer.set_mode(64, 48)
    assert view.stale and frame.stale
    again = surface.view()
    assert not again.stale
    surface.close()
    assert again.stale
    assert not again.any() and view.shape == (HEIGHT, WIDTH, 4)
    assert int(view.astype(int).sum()) >= 0  # the whole mapping can still be read
    producer.draw(Rect(0, 0, 1, 1), b"abcd")
    assert again[0, 0].tobytes() == b"abcd"


def test_views_outlive_producer_and_surface(kind, api):
    producer = kind.create()
    pixels = picture(3)
    producer.set_mode(WIDTH, HEIGHT, source=pixels)
    surface = kind.open(api.form, producer)
    view = surface.view()
    producer.close()
    surface.close()
    del surface, producer
    kind.made.clear()
    assert np.array_equal(view, pixels)
    assert view.stale


def test_linear_buffer_is_published(surface, producer, api, tmp_path):
    data = np.arange(1000, dtype=np.uint8)
    producer.set_mode(100, 10, fourcc=R8, source=data)
    assert surface.mode.fourcc == R8
    assert surface.view().tobytes() == surface.frame(pixels="bgrx").tobytes() == data.tobytes()
    mark = surface.mark
    producer.pixels.reshape(-1)[250:260] = 1
    producer.publish_range(250, 10)
    assert api.wait(surface, mark, timeout=30).rects == [Rect(32, 0, 32, 10)]
    surface.screenshot(tmp_path / "bytes.png")
    assert np.array_equal(read(tmp_path / "bytes.png"), surface.frame(pixels="bgrx"))


# ---- Cursor


def test_cursor_is_drawn_only_on_request(surface, shown, producer):
    shape = picture(5, 16, 12)
    producer.set_cursor(shape.tobytes(), 16, 12, 2, 3)
    producer.move_cursor(1, 40, True)
    assert np.array_equal(surface.frame(pixels="bgrx"), shown)
    cursor = surface.cursor
    assert (cursor.x, cursor.y, cursor.hot_x, cursor.hot_y) == (1, 40, 2, 3)
    assert np.array_equal(cursor.shape, shape)
    whole = Rect(0, 0, WIDTH, HEIGHT)
    expected = oracle.blend(shown, whole, cursor)
    assert not np.array_equal(expected, shown)
    assert np.array_equal(surface.frame(cursor=True, pixels="bgrx"), expected)
    for name in ("rgb", "rgba", "grey"):
        frame = surface.frame(cursor=True, pixels=name, consistent=True)
        assert np.array_equal(frame, oracle.convert_out(name, expected))
    part = Rect(0, 38, 5, 6)
    assert np.array_equal(surface.frame(part, cursor=True, pixels="bgrx"), expected[38:44, 0:5])
    producer.move_cursor(1, 40, False)
    assert np.array_equal(surface.frame(cursor=True, pixels="bgrx"), shown)


def test_frame_without_a_cursor(surface, shown):
    assert np.array_equal(surface.frame(cursor=True, pixels="bgrx"), shown)


# ---- Changes


def test_changes_start_with_everything(surface, shown, producer, api):
    (first,) = api.take(surface, 1)
    assert first.everything and first.rects == [Rect(0, 0, WIDTH, HEIGHT)]
    assert first.mode == surface.mode
    producer.draw(Rect(40, 40, 1, 1), b"abcd")
    (second,) = api.take(surface, 1, since=first.mark)
    assert second.rects == [Rect(32, 32, 32, 32)] and not second.everything
    assert second.mark == surface.mark


def test_slow_consumer_gets_one_change(surface, shown, producer, api):
    mark = surface.mark
    for step in range(50):
        producer.draw(Rect(step, 0, 1, 1), b"abcd")
    change = api.wait(surface, mark, timeout=30)
    assert change.rects == [Rect(0, 0, 64, 32)]
    assert surface.changes_since(change.mark).rects == []


def test_mode_change_is_everything(surface, shown, producer, api):
    mark = surface.mark
    producer.set_mode(40, 30)
    change = api.wait(surface, mark, timeout=30)
    assert change.everything and change.rects == [Rect(0, 0, 40, 30)]


def test_copy_of_changes_ends_equal(surface, shown, producer, api):
    """The consumer copies only changed rectangles, and ends with the same pixels."""
    random = np.random.default_rng(8)
    ours = np.zeros_like(shown)

    def produce():
        for _ in range(200):
            x, y = int(random.integers(0, WIDTH - 9)), int(random.integers(0, HEIGHT - 9))
            producer.draw(Rect(x, y, 9, 9), random.integers(0, 256, (9, 9, 4), np.uint8))
        producer.set_state(State.PAUSED)

    producing = Later(produce)
    mark = NOTHING_TAKEN
    while True:
        paused = surface.state[0] == State.PAUSED
        try:
            change = api.wait(surface, mark, timeout=0.02)
        except WaitTimeoutError:
            if paused:
                break
            continue
        for r in change.rects:
            ours[r.y : r.bottom, r.x : r.right] = surface.frame(r, pixels="bgrx")
        mark = change.mark
    producing.join()
    assert np.array_equal(ours, producer.pixels)


# ---- Waiting


def test_wait_times_out(surface, shown, api):
    with pytest.raises(WaitTimeoutError):
        api.wait(surface, timeout=0.01)
    with pytest.raises(TimeoutError):  # the built-in class
        api.wait(surface, timeout=0)


def test_earlier_change_returns_at_once(surface, shown, producer, api):
    mark = surface.mark
    producer.draw(Rect(0, 0, 1, 1), b"abcd")
    assert api.wait(surface, mark, timeout=0).rects == [Rect(0, 0, 32, 32)]


def test_every_publication_wakes_a_waiter(surface, shown, producer, api):
    """Without wakes each wait would last half a second, the cap of a sleep."""
    other = picture(1)
    answered = threading.Semaphore(0)

    def answer():
        for turn in range(30):
            answered.acquire(timeout=30)
            producer.compare(other if turn % 2 == 0 else shown)

    answering = Later(answer)
    mark, took = surface.mark, []
    for _ in range(30):
        answered.release()
        began = time.monotonic()
        mark = api.wait(surface, mark, timeout=60).mark
        took.append(time.monotonic() - began)
    answering.join()
    assert statistics.median(took) < 0.4
    assert mark.version == 31


def test_state_and_cursor_do_not_end_a_wait(surface, shown, producer, api):
    mark = surface.mark
    producer.set_state(State.UNAVAILABLE, "no display")
    producer.move_cursor(1, 1, True)
    with pytest.raises(WaitTimeoutError):
        api.wait(surface, mark, timeout=0.05)
    with pytest.raises(UnavailableError, match="no display"):
        surface.frame()


# ---- PNG


def test_screenshot_saves_the_frame(surface, shown, producer, tmp_path):
    frame = surface.screenshot(tmp_path / "screen.png")
    expected = oracle.convert_out("rgb", shown)
    assert np.array_equal(read(tmp_path / "screen.png"), expected)
    assert np.array_equal(frame, expected)
    surface.screenshot(str(tmp_path / "no-ending"))
    assert (tmp_path / "no-ending").read_bytes().startswith(b"\x89PNG")
    surface.screenshot(tmp_path / "screen.bmp", Rect(1, 2, 30, 20))
    assert np.array_equal(read(tmp_path / "screen.bmp"), expected[2:22, 1:31])
    target = io.BytesIO()
    surface.screenshot(target, consistent=True)
    assert target.getvalue().startswith(b"\x89PNG")
    producer.set_cursor(b"\xff" * 16, 2, 2, 0, 0)
    producer.move_cursor(0, 0, True)
    surface.screenshot(tmp_path / "cursor.png", cursor=True)
    assert (read(tmp_path / "cursor.png")[:2, :2] == 255).all()


def test_repr_has_mode_and_version(surface, shown):
    assert "128x96 XR24 version 1" in repr(surface)


def test_attributes_describe_the_surface(surface, shown, producer):
    mode = surface.mode
    assert mode == (WIDTH, HEIGHT, WIDTH * 4, XR24, 1)
    assert surface.incarnation == producer.incarnation
    assert surface.mark == (producer.incarnation, 1, 1)
