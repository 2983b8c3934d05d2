import pytest
from support.watch_scene import Scene

from kju.errors import UsageError, WaitTimeoutError
from kju.surface import Change
from kju.surface.geometry import Rect
from kju.vision import Best, ScreenTimeoutError
from kju.vision.looking import Condition, Watch

REGION = Rect(40, 40, 64, 32)


class Remembers(Condition):
    what = "the last of so many looks"

    def __init__(self, count=99, again=None):
        self.seen = []
        self.count = count
        self.again = again

    def look(self, seen):
        self.seen.append(seen)
        return "it" if len(self.seen) == self.count else None

    def best(self, now):
        return Best("nothing like it", Rect(1, 2, 3, 4), 0.25)


def test_it_looks_at_once_and_everything_is_new():
    scene, condition = Scene(), Remembers(1)
    watch = Watch(condition, None, 5, 3.0)
    assert watch.due(3.0)
    assert scene.wait(condition)
    assert scene.watch.result == "it"
    assert condition.seen[0].damage is None
    assert condition.seen[0].region == scene.mode.whole


def test_only_damage_that_touches_the_region_counts():
    scene, condition = Scene(), Remembers()
    scene.wait(condition, REGION)
    scene.draw((0, 0, 8, 8), 1)
    assert not scene.watch.wants(scene.change())
    scene.draw((64, 64, 8, 8), 1)
    assert scene.watch.wants(scene.change())
    scene.look()
    assert condition.seen[1].damage == (Rect(64, 64, 32, 8),)
    assert condition.seen[1].part.shape == (32, 64, 4)


def test_after_a_look_nothing_is_due_unless_asked_for():
    scene = Scene()
    scene.wait(Remembers())
    assert not scene.watch.due(scene.now + 5)
    assert scene.watch.left(scene.now + 4) == 6
    scene.wait(Remembers(again=scene.now + 2))
    assert scene.watch.left(scene.now) == 2
    assert scene.watch.due(scene.now + 2)


def test_the_mark_is_the_frames_and_not_the_changes():
    """What was drawn between the frame and the question is reported again."""
    scene = Scene()
    scene.wait(Remembers())
    frame, mark = scene.pixels.copy(), scene.mark
    scene.draw((0, 0, 8, 8), 1)
    scene.watch.look(frame, scene.mode, mark, scene.change(), scene.now)
    assert scene.watch.mark == mark
    assert scene.watch.wants(scene.change())


def test_a_new_mode_between_the_frame_and_the_question_is_everything():
    scene, condition = Scene(), Remembers()
    scene.wait(condition)
    frame, mode, mark = scene.pixels, scene.mode, scene.mark
    scene.set_mode(640, 400)
    scene.watch.look(frame, mode, mark, scene.change(), scene.now)
    assert condition.seen[1].damage is None
    scene.look()
    assert condition.seen[2].region == Rect(0, 0, 640, 400)
    assert condition.seen[2].damage is None


def test_a_region_may_come_with_a_larger_mode():
    scene, condition = Scene(), Remembers(1)
    assert not scene.wait(condition, Rect(300, 180, 200, 100))
    assert not condition.seen
    assert "320x200 and has no such region" in str(scene.watch.timed_out(scene.now))
    change = Change(scene.mark, scene.mode, [Rect(0, 0, 1, 1)], True)
    assert scene.watch.wants(change)
    scene.set_mode(640, 400)
    assert scene.look()


def test_without_a_picture_it_looks_again_soon():
    watch = Watch(Remembers(), None, 5, 0.0)
    watch.absent("the display is off", 1.0)
    assert 0 < watch.left(1.0) <= 0.5
    assert not watch.due(1.0)
    assert "the display is off" in str(watch.timed_out(5.0))
    assert watch.timed_out(5.0).frame is None


def test_time_is_over():
    scene = Scene()
    scene.wait(Remembers(), REGION, 10)
    scene.now += 4
    scene.draw((64, 64, 8, 8), 1)
    scene.look()
    assert not scene.watch.over(scene.now + 5.9)
    assert scene.watch.over(scene.now + 6)
    error = scene.watch.timed_out(scene.now + 6)
    assert isinstance(error, WaitTimeoutError) and isinstance(error, TimeoutError)
    assert (error.looks, error.region, error.timeout) == (2, REGION, 10)
    assert error.changed == (6, Rect(64, 64, 32, 32))
    assert error.best.score == 0.25
    assert (error.frame == scene.pixels).all()
    assert str(error) == (
        "timed out after 10 s waiting for the last of so many looks in 64x32 at 40,40;"
        " 2 frames checked; nothing like it; last screen change 6.0 s ago; its picture can be saved"
    )


def test_after_a_look_as_long_a_rest():
    """So that a screen all of which moves takes half a core and not all of it."""
    watch = Watch(Remembers(), None, 10, 100.0)
    assert watch.rest(100.0) == 0
    watch.took(101.0, 101.25)
    assert watch.rest(101.25) == 0.25
    assert watch.rest(101.4) == pytest.approx(0.1)
    assert watch.rest(102.0) == 0
    watch.took(102.0, 109.75)
    assert watch.rest(109.75) == 0.25, "never beyond the end"
    watch = Watch(Remembers(), None, None, 100.0)
    watch.took(100.0, 130.0)
    assert 0 < watch.rest(130.0) <= 0.5, "what it loaded is no measure"


def test_none_never_ends():
    scene = Scene()
    scene.wait(Remembers(), None, None)
    assert scene.watch.left(scene.now + 1e9) is None
    assert not scene.watch.over(scene.now + 1e9)


@pytest.mark.parametrize("region", [Rect(0, 0, 0, 5), Rect(-1, 0, 5, 5), Rect(0, 0, 5, -5)])
def test_a_region_holds_pixels(region):
    with pytest.raises(UsageError, match="the region"):
        Watch(Remembers(), region, 1, 0.0)


@pytest.mark.parametrize("timeout", [-1, float("nan")])
def test_a_timeout_is_seconds(timeout):
    with pytest.raises(UsageError, match="timeout"):
        Watch(Remembers(), None, timeout, 0.0)


def test_the_error_travels_between_processes():
    import pickle

    scene = Scene()
    scene.wait(Remembers(), REGION)
    error = pickle.loads(pickle.dumps(scene.watch.timed_out(scene.now)))
    assert isinstance(error, ScreenTimeoutError)
    assert error.best.rect == Rect(1, 2, 3, 4)
    assert error.frame.shape == (200, 320, 4)
