"""Repeats of X11: a release and a press of one moment."""

from kju.viewers.repeats import KeyEvent, Repeats

DOWN, UP, AGAIN = KeyEvent(54, True, False), KeyEvent(54, False, False), KeyEvent(54, True, True)


def test_a_release_and_a_press_of_one_moment_are_a_repeat():
    keys = Repeats()
    assert keys.press(54, 100, False) == [DOWN]
    for time in (700, 740):
        assert keys.release(54, time, False) == []
        assert keys.press(54, time, False) == [AGAIN]
    assert keys.release(54, 760, False) == []
    assert keys.flush() == [UP]
    assert keys.flush() == []


def test_a_key_that_is_struck_again_goes_up_in_between():
    keys = Repeats()
    keys.press(54, 100, False)
    keys.release(54, 130, False)
    assert keys.press(54, 131, False) == [UP, DOWN]


def test_another_key_lets_the_release_go_first():
    keys = Repeats()
    keys.press(54, 100, False)
    keys.release(54, 130, False)
    assert keys.press(38, 130, False) == [UP, KeyEvent(38, True, False)]
    keys.release(54, 200, False)
    assert keys.release(38, 200, False) == [UP]
    assert keys.flush() == [KeyEvent(38, False, False)]


def test_what_the_toolkit_knows_for_repeats_is_believed():
    keys = Repeats()
    keys.press(54, 100, False)
    assert keys.release(54, 700, True) == []
    assert keys.press(54, 700, True) == [AGAIN]
    assert keys.flush() == []
