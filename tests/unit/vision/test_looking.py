import pytest
from support.watch_scene import Scene

from kju.errors import UsageError, WaitTimeoutError
from kju.surface import Change, Mark
from kju.surface.geometry import Rect
from kju.vision import Best, ScreenTimeoutError
from kju.vision.looking import Condition, Look, Met, Sleep, TimedOut, Watch

REGION = Rect(40, 40, 64, 32)


class Remembers(Condition):
    what = "the last of so many looks"

    def __init__(self, count=99, again=None):
        self.seen = []
        self.count = count
        self.again = again

    def check(self, seen):
        self.seen.append(seen)
        return "it" if len(self.seen) == self.count else None

    def best(self, now):
        return Best("nothing like it", Rect(1, 2, 3, 4), 0.25)


def test_first_check_is_at_once_and_of_everything():
    scene, condition = Scene(), Remembers(1)
    watch = Watch(condition, None, 5, 3.0)
    assert watch.next(3.0) == Look()
    assert watch.next(3.0) == Look(), "until it is done"
    assert scene.wait(condition)
    assert scene.step() == Met("it")
    assert condition.seen[0].damage is None
    assert condition.seen[0].region == scene.mode.whole


def test_only_damage_that_touches_the_region_counts():
    scene, condition = Scene(), Remembers()
    scene.wait(condition, REGION)
    before = scene.mark
    assert scene.step() == Sleep(10.0, before)
    scene.draw((0, 0, 8, 8), 1)
    scene.watch.changed(scene.change())
    assert scene.step() == Sleep(10.0, scene.mark), "the change is not reported again"
    scene.draw((64, 64, 8, 8), 1)
    scene.watch.changed(scene.change())
    assert scene.step() == Look()
    scene.check()
    assert condition.seen[1].damage == (Rect(64, 64, 32, 8),)
    assert condition.seen[1].part.shape == (32, 64, 4)
    assert scene.step() == Sleep(10.0, scene.mark)


def test_next_check_waits_for_a_change_or_its_time():
    scene = Scene()
    scene.wait(Remembers())
    assert scene.watch.next(scene.now + 4) == Sleep(6.0, scene.mark)
    scene.wait(Remembers(again=scene.now + 2))
    assert scene.step() == Sleep(2.0, scene.mark)
    assert scene.watch.next(scene.now + 2) == Look()


def test_the_mark_is_the_frames_and_not_the_changes():
    """What was drawn between the frame and the question is reported again."""
    scene = Scene()
    scene.wait(Remembers())
    frame, mark = scene.pixels.copy(), scene.mark
    scene.draw((0, 0, 8, 8), 1)
    scene.watch.check(frame, scene.mode, mark, scene.change(), scene.now)
    assert scene.watch.mark == mark
    assert scene.step() == Sleep(10.0, mark)
    scene.watch.changed(scene.change())
    assert scene.step() == Look()


def test_a_new_mode_between_the_frame_and_the_question_is_everything():
    scene, condition = Scene(), Remembers()
    scene.wait(condition)
    frame, mode, mark = scene.pixels, scene.mode, scene.mark
    scene.set_mode(640, 400)
    scene.watch.check(frame, mode, mark, scene.change(), scene.now)
    assert condition.seen[1].damage is None
    scene.check()
    assert condition.seen[2].region == Rect(0, 0, 640, 400)
    assert condition.seen[2].damage is None


def test_a_region_may_come_with_a_larger_mode():
    scene, condition = Scene(), Remembers(1)
    assert not scene.wait(condition, Rect(300, 180, 200, 100))
    assert not condition.seen
    assert "320x200 and has no such region" in str(scene.watch.timed_out(scene.now))
    change = Change(scene.mark, scene.mode, [Rect(0, 0, 1, 1)], True)
    scene.watch.changed(change)
    assert scene.step() == Look()
    scene.set_mode(640, 400)
    assert scene.check()


def test_check_without_a_picture_is_repeated_soon():
    watch, mark = Watch(Remembers(), None, 5, 0.0), Mark(7, 1, 3)
    assert watch.next(0.0) == Look()
    watch.absent("the display is off", mark, 1.0)
    assert watch.next(1.0) == Sleep(0.5, mark)
    assert watch.next(1.5) == Look()
    error = watch.timed_out(5.0)
    assert error.absent == "the display is off"
    assert "the display is off" in str(error)
    assert error.frame is None


def test_wait_ends_after_its_timeout():
    scene = Scene()
    scene.wait(Remembers(), REGION, 10)
    scene.now += 4
    scene.draw((64, 64, 8, 8), 1)
    scene.check()
    assert scene.watch.next(scene.now + 5.75) == Sleep(0.25, scene.mark)
    step = scene.watch.next(scene.now + 6)
    assert isinstance(step, TimedOut)
    error = step.error
    assert error.absent is None
    assert isinstance(error, WaitTimeoutError) and isinstance(error, TimeoutError)
    assert (error.looks, error.region, error.timeout) == (2, REGION, 10)
    assert error.changed == (6, Rect(64, 64, 32, 32))
    assert error.best.score == 0.25
    assert (error.frame == scene.pixels).all()
    assert str(error) == (
        "timed out after 10 s waiting for the last of so many looks in 64x32 at 40,40;"
        " 2 frames checked; nothing like it; last screen change 6.0 s ago"
    )


def draw_and_report(scene):
    scene.draw((0, 0, 8, 8), 1)
    scene.watch.changed(scene.change())


def test_a_pause_as_long_as_the_check_follows_it():
    """A screen of which everything moves takes half a core and not all of it."""
    scene = Scene()
    scene.wait(Remembers(), None, 10)
    draw_and_report(scene)
    assert scene.step() == Look()
    scene.check()
    scene.now += 0.25
    assert scene.step() == Sleep(9.75, scene.mark), "the end of the check"
    draw_and_report(scene)
    assert scene.step() == Sleep(0.25, None)
    scene.now += 0.125
    assert scene.step() == Sleep(0.125, None)
    scene.now += 0.125
    assert scene.step() == Look()
    scene.check()
    scene.now = 109.75
    scene.step()
    draw_and_report(scene)
    assert scene.step() == Sleep(0.25, None), "never beyond the end"
    scene.now = 110.0
    assert scene.step() == Look(), "a change before the end is checked"
    scene.check()
    assert isinstance(scene.step(), TimedOut)


def test_the_pause_has_a_limit():
    """The first check also imports libraries."""
    scene = Scene()
    scene.wait(Remembers(), None, None)
    draw_and_report(scene)
    assert scene.step() == Look()
    scene.check()
    scene.now += 30
    scene.step()
    draw_and_report(scene)
    assert scene.step() == Sleep(0.5, None)


def test_wait_without_a_timeout_does_not_end():
    scene = Scene()
    scene.wait(Remembers(), None, None)
    assert scene.watch.next(scene.now + 1e9) == Sleep(None, scene.mark)


@pytest.mark.parametrize("region", [Rect(0, 0, 0, 5), Rect(-1, 0, 5, 5), Rect(0, 0, 5, -5)])
def test_region_must_have_pixels(region):
    with pytest.raises(UsageError, match="the region"):
        Watch(Remembers(), region, 1, 0.0)


@pytest.mark.parametrize("timeout", [-1, float("nan")])
def test_timeout_must_be_seconds(timeout):
    with pytest.raises(UsageError, match="timeout"):
        Watch(Remembers(), None, timeout, 0.0)


def test_error_can_be_pickled():
    import pickle

    scene = Scene()
    scene.wait(Remembers(), REGION)
    error = pickle.loads(pickle.dumps(scene.watch.timed_out(scene.now)))
    assert isinstance(error, ScreenTimeoutError)
    assert error.best.rect == Rect(1, 2, 3, 4)
    assert error.frame.shape == (200, 320, 4)
