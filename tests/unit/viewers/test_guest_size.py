"""When the guest is asked for the view's size."""

from __future__ import annotations

import numpy as np
import pytest
from support.stub_view import StubView

from kju.client.consumer.frame import Frame
from kju.surface import Mode
from kju.viewers.geometry import Scaling
from kju.viewers.guest_size import MIN_SIZE, GuestSize
from kju.viewers.picture import ViewPicture


class View:
    """A stub with a picture; `guest` sets the guest's mode."""

    def __init__(self, width=800, height=600, ratio=1.0, scaling=Scaling.FIT) -> None:
        self.backend = StubView(width, height, ratio)
        self.backend.largest = (1900, 1000)
        self.picture = ViewPicture(self.backend, scaling)
        self.asked: list[tuple[int, int]] = []
        self.size = GuestSize(self.backend, self.picture, lambda *size: self.asked.append(size))

    def guest(self, width: int, height: int) -> None:
        """Take a mode, as `Viewer.updated` does."""
        pixels = np.zeros((height, width, 4), np.uint8).view(Frame)
        pixels.mode = Mode(width, height, width * 4, 0x34325258, 1)
        self.picture.show(pixels)
        self.picture.place()
        self.size.view_changed()

    def resize(self, width: int, height: int) -> None:
        """Take a size, as `Viewer.resized` does."""
        self.backend.resize(width, height)
        self.picture.place()
        self.size.view_changed()


def test_guest_is_asked_once_on_request():
    view = View()
    view.guest(640, 480)
    view.resize(1000, 700)
    assert view.asked == []
    view.size.resize_once()
    assert view.asked == [(1000, 700)]
    view.resize(900, 700)
    assert view.asked == [(1000, 700)]


def test_sticky_guest_is_asked_for_every_new_size_of_the_view():
    view = View()
    view.guest(640, 480)
    view.resize(800, 600)
    view.size.set_sticky(True)
    view.resize(801, 600)
    view.resize(802, 600)
    assert view.asked == [(800, 600), (801, 600), (802, 600)]
    view.size.set_sticky(False)
    view.resize(900, 600)
    assert view.asked[-1] == (802, 600)


@pytest.mark.parametrize(
    "answers",
    [
        [(1272, 800)],  # rounded
        [(640, 480)],  # ignored
        [(640, 480), (1277, 800)],  # late
        [(1272, 800), (1277, 800), (1024, 768), (720, 400)],  # any other modes
    ],
)
def test_sticky_size_never_loops(answers):
    view = View()
    view.guest(640, 480)
    view.size.set_sticky(True)
    view.asked.clear()
    view.resize(1277, 800)
    for answer in answers * 3:
        view.guest(*answer)
    assert view.asked == [(1277, 800)]
    assert view.backend.size == (1277, 800), "the view does not follow the guest"


def test_sticky_view_asks_a_new_machine_once_it_has_a_picture():
    view = View()
    view.size.set_sticky(True)
    assert view.asked == []
    view.guest(720, 400)
    view.guest(1024, 768)
    assert view.asked == [(800, 600)]
    view.size.attached()
    assert view.asked == [(800, 600)]
    view.guest(720, 400)
    assert view.asked == [(800, 600), (800, 600)]


def test_refusal_ends_the_sticky_form_with_the_reason():
    view = View()
    view.guest(640, 480)
    view.size.set_sticky(True)
    view.size.failed("this display cannot be resized: it is a text screen")
    assert not view.size.sticky
    assert view.backend.notes == ["this display cannot be resized: it is a text screen"]
    view.resize(700, 500)
    assert len(view.asked) == 1
    assert view.picture.follows


def test_refusal_that_is_known_ends_the_sticky_form():
    view = View()
    view.size.set_sticky(True)
    view.size.set_refusal("QEMU passes no size on")
    assert not view.size.sticky
    view.guest(640, 480)
    assert view.asked == []


@pytest.mark.parametrize(
    ("ratio", "scaling", "wanted"),
    [
        (1, Scaling.FIT, (1600, 1000)),
        (1.25, Scaling.FIT, (1600, 1000)),
        (1.5, Scaling.FIT, (1600, 1000)),
        (1.75, Scaling.FIT, (800, 500)),
        (2, Scaling.FIT, (800, 500)),
        (2, Scaling.WIDTH, (800, 500)),
        (2, Scaling.ONE, (1600, 1000)),
        (2, Scaling.SHRINK, (1600, 1000)),
    ],
)
def test_wanted_size_is_drawn_at_the_usual_scale(ratio, scaling, wanted):
    view = View(1600, 1000, ratio, scaling)
    assert view.size.wanted == wanted
    view.guest(*wanted)
    view.resize(1600, 1000)
    assert view.picture.placement.exact


def test_tiny_view_asks_for_a_usable_size():
    view = View(10, 10)
    assert view.size.wanted == MIN_SIZE
