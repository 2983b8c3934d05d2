"""The rules of an answer, with a clock that is moved by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from support.watch_scene import Scene

from kju.acting.answer import Answering, Times, changed_boxes
from kju.errors import UsageError
from kju.surface.geometry import Rect

TIMES = Times(first=1.0, still=0.3, limit=5.0)
CELL = (40, 40, 8, 16)


class Acted(Scene):
    """A scene whose last input began at 99.9 and was sent at 100."""

    def act(self, times=TIMES, ignore=(), before=True, region=None):
        self.condition = Answering("a key", times, ignore, self.pixels.copy() if before else None)
        self.condition.begin(99.9, self.now)
        self.wait(self.condition, region, since=self.mark)
        return self

    def answered(self, seconds):
        self.now += seconds
        return self.check()

    @property
    def answer(self):
        return self.watch.result


def test_no_change_is_an_answer_after_the_first_time():
    scene = Acted().act()
    assert not scene.answered(0.9)
    assert scene.watch.next(scene.now).seconds == pytest.approx(0.1)
    assert scene.answered(0.11)
    answer = scene.answer
    assert (answer.changed, answer.settled, answer.seconds, answer.rects) == (False, True, 0.0, ())
    assert answer.words == "nothing changed" and answer.rect is None
    assert answer.version == answer.mark.version == scene.version


def test_answer_ends_when_it_was_still():
    scene = Acted().act()
    scene.draw((0, 0, 100, 50), 200)
    assert not scene.answered(0.5)
    scene.draw((60, 90, 100, 50), 200)
    assert not scene.answered(0.2)
    assert not scene.answered(0.29)
    assert scene.answered(0.02)
    answer = scene.answer
    assert answer.changed and answer.settled
    assert answer.seconds == pytest.approx(0.8)
    assert answer.rects == (Rect(0, 0, 100, 50), Rect(60, 90, 100, 50))
    assert answer.rect == Rect(0, 0, 160, 140)
    assert answer.words == "changed in 160x140 at 0,0 after 0.80 s, settled"


@pytest.mark.parametrize("still", [0.0, 0.05])
def test_all_is_published_before_a_short_stillness_ends_the_answer(still):
    scene = Acted().act(TIMES._replace(still=still))
    assert not scene.answered(0.2) and not scene.condition.needs_all
    scene.draw((0, 0, 100, 50), 200)
    scene.answered(0.01)
    if still:
        assert not scene.condition.needs_all
        assert not scene.answered(0.05)
    assert scene.condition.needs_all
    scene.draw((0, 50, 100, 50), 200)
    assert scene.answered(0.001) is not bool(still)
    if still:
        assert scene.answered(0.06)
    assert scene.answer.settled and scene.answer.rects == (Rect(0, 0, 100, 100),)


def test_a_long_stillness_needs_no_publication():
    scene = Acted().act()
    scene.draw((0, 0, 100, 50), 200)
    assert not scene.answered(0.1)
    assert scene.answered(0.31) and not scene.condition.needs_all


def test_limit_ends_an_answer_that_does_not_settle():
    scene = Acted().act()
    for step in range(24):
        scene.draw((step, 0, 100, 50), step + 1)
        assert not scene.answered(0.2)
    scene.draw((0, 0, 100, 50), 99)
    assert scene.answered(0.2)
    assert scene.answer.changed and not scene.answer.settled
    assert "still changing at the limit" in scene.answer.words


def test_change_that_is_undone_has_no_rectangle():
    scene = Acted().act()
    scene.draw((0, 0, 100, 100), 200)
    assert not scene.answered(0.1)
    scene.draw((0, 0, 100, 100), 0)
    assert not scene.answered(0.1)
    assert scene.answered(0.31)
    assert scene.answer.changed and scene.answer.rects == ()


def test_blinking_cursor_is_no_answer():
    scene = Acted().act()
    for colour in (200, 0, 200, 0):
        scene.draw(CELL, colour)
        done = scene.answered(0.25)
    assert done
    assert not scene.answer.changed


def test_blinking_cursor_does_not_prolong_an_answer():
    scene = Acted().act(Times(1.0, 0.45, 5.0))
    scene.draw((0, 100, 100, 50), 200)
    assert not scene.answered(0.1)
    scene.draw(CELL, 200)
    assert not scene.answered(0.2)
    scene.draw(CELL, 0)
    assert not scene.answered(0.2)
    assert scene.answered(0.06)
    assert scene.answer.rects == (Rect(0, 100, 100, 50),)


def test_changes_outside_the_region_or_in_ignored_areas_do_not_count():
    scene = Acted().act(region=Rect(100, 100, 50, 50))
    scene.draw((0, 0, 64, 64), 200)
    assert scene.answered(1.01)
    assert not scene.answer.changed
    scene = Acted().act(ignore=[(0, 0, 64, 64)])
    scene.draw((0, 0, 64, 64), 200)
    assert scene.answered(1.01)
    assert not scene.answer.changed and scene.answer.rects == ()


def test_pixels_published_before_the_mark_are_no_answer():
    """The frame before is older than the mark; what came in between is not the guest's answer."""
    scene = Acted()
    scene.condition = Answering("a key", TIMES, (), scene.pixels.copy())
    scene.draw((0, 0, 100, 50), 200)
    scene.damage.clear()
    scene.condition.begin(99.9, scene.now)
    scene.wait(scene.condition, None, since=scene.mark)
    scene.draw((200, 100, 10, 10), 200)
    assert not scene.answered(0.1)
    assert scene.answered(0.31)
    assert scene.answer.rects == (Rect(200, 100, 10, 10),)


def test_new_mode_is_an_answer_of_everything():
    scene = Acted().act()
    scene.set_mode(640, 480)
    assert not scene.answered(0.1)
    assert scene.answered(0.31)
    assert scene.answer.changed and scene.answer.rects == (Rect(0, 0, 640, 480),)


def test_first_picture_is_an_answer_where_there_was_none():
    scene = Acted().act(before=False)
    assert scene.answered(0.31)
    assert scene.answer.changed and scene.answer.rects == (scene.mode.whole,)


@pytest.mark.parametrize("value", [-1, math.nan, math.inf, 3601, True, "1"])
@pytest.mark.parametrize("name", ["first", "still", "limit"])
def test_invalid_times_are_refused(name, value):
    with pytest.raises(UsageError, match=f"{name} is 0 to 3600 seconds"):
        TIMES._replace(**{name: value}).checked()


def test_overlapping_boxes_of_changes_are_joined():
    before = np.zeros((100, 120, 4), np.uint8)
    after = before.copy()
    after[2:90, 3] = after[2, 3:90] = 9  # an L, with another change inside its box
    after[60:64, 60:64] = 9
    after[99, 119] = 9
    whole = [Rect(0, 0, 120, 100)]
    assert changed_boxes(before, after, whole, ()) == [Rect(3, 2, 87, 88), Rect(119, 99, 1, 1)]
    assert changed_boxes(before, after, whole, [Rect(0, 0, 100, 100)]) == [Rect(119, 99, 1, 1)]
    assert changed_boxes(before, before, whole, ()) == []
