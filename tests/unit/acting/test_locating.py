"""Targets, relations and the rules of a locator's wait, on frames with a console's text."""

from __future__ import annotations

import pickle
import re

import numpy as np
import pytest
from support.console_text import console
from support.watch_scene import Scene

from kju.acting.locating import (
    AmbiguousTargetError,
    ExpectationError,
    Located,
    Offset,
    Relation,
    Target,
    check_count,
    check_point,
    text_pattern,
)
from kju.errors import GeometryError, UsageError
from kju.surface.geometry import Rect
from kju.vision.finding import Found, ImageQuery, TextQuery
from kju.vision.looking import TimedOut

LINES = ("Name:   [    ]   Yes No", "", "Mail:   [    ]   Yes No", "", "Install")


def text(wanted, **fields):
    return Target(TextQuery(wanted), **fields)


class Console(Scene):
    """A screen of 640x400 with lines of text."""

    def __init__(self, *lines):
        super().__init__(640, 400)
        self.show(*lines)

    def show(self, *lines):
        self.pixels = console(lines)
        self.damage = [self.mode.whole]
        self.version += 1

    def locate(self, target, enough=lambda number: number > 0, *, one=True, timeout=10.0):
        self.wait(Located(target, target.words, enough, one=one), target.watched, timeout)
        return self

    def error(self, seconds=20):
        self.now += seconds
        step = self.step()
        assert isinstance(step, TimedOut)
        return step.error


def cell(column, row, columns=1):
    return Rect(column * 8, row * 16, columns * 8, 16)


def found(target, *lines, **how):
    scene = Console(*(lines or LINES)).locate(target, **how)
    assert scene.after(0.11)
    return scene.watch.result


def test_a_place_must_hold_still():
    scene = Console("", "Install").locate(text("Install"))
    assert not scene.after(0.05)
    scene.show("", "", "Install")
    assert not scene.after(0.06), "it has moved"
    assert scene.watch.next(scene.now).seconds == pytest.approx(0.1)
    assert scene.after(0.11)
    assert scene.watch.result == (Found(cell(0, 2, 7), (28, 40), "Install"),)


def test_changes_elsewhere_do_not_delay_a_place():
    scene = Console("Install").locate(text("Install"))
    scene.draw((320, 200, 64, 64), 255)
    assert not scene.after(0.06)
    scene.draw((320, 200, 64, 64), 0)
    assert scene.after(0.06)


def test_a_place_that_appears_later_is_waited_for():
    scene = Console("Wait").locate(text("Install"))
    assert not scene.after(1)
    scene.show("Wait", "Install")
    assert not scene.after(1)
    assert scene.after(0.11)


def test_several_places_are_ambiguous():
    scene = Console(*LINES).locate(text("Yes"))
    with pytest.raises(AmbiguousTargetError) as caught:
        scene.after(0.11)
    assert str(caught.value) == (
        "2 places match the text 'Yes': at 136,0, 136,32; name one with nth(), near(), right_of()"
        " or a region"
    )
    assert [place.rect for place in caught.value.places] == [cell(17, 0, 3), cell(17, 2, 3)]
    copy = pickle.loads(pickle.dumps(caught.value))
    assert str(copy) == str(caught.value) and copy.places == caught.value.places


@pytest.mark.parametrize(
    ("target", "place"),
    [
        (text("Yes").nth(0), cell(17, 0, 3)),
        (text("Yes").nth(-1), cell(17, 2, 3)),
        (text("Yes").within((0, 20, 640, 60)), cell(17, 2, 3)),
        (text("Yes").related("right_of", text("Mail:"), None), cell(17, 2, 3)),
        (text("Mail:").related("left_of", text("Yes").nth(1), None), cell(0, 2, 5)),
        (text(re.compile("[NM]a..")).related("near", text("Install"), 16), cell(0, 2, 4)),
        (text("Install").related("below", text("Mail:"), None), cell(0, 4, 7)),
        (text("Name:").related("above", text("Mail:"), 40), cell(0, 0, 5)),
        (text(re.compile("In.*")), cell(0, 4, 7)),
        (
            text("No").related("right_of", text("Yes"), 20).related("below", text("Name:"), None),
            None,
        ),
    ],
    ids=lambda value: getattr(value, "words", None),
)
def test_a_target_is_narrowed(target, place):
    if place is None:
        scene = Console(*LINES).locate(target)
        assert "'No' is twice" in str(scene.error()).replace("2 times", "twice")
        return
    (one,) = found(target)
    assert one.rect == place


def test_relations_measure_the_gap():
    anchor = Rect(100, 100, 50, 20)
    right, below = Rect(160, 105, 10, 10), Rect(110, 125, 10, 10)
    assert Relation("right_of", text("a"), 10).holds(right, anchor)
    assert not Relation("right_of", text("a"), 9).holds(right, anchor)
    assert not Relation("right_of", text("a"), None).holds(below, anchor)
    assert not Relation("left_of", text("a"), None).holds(right, anchor)
    assert Relation("below", text("a"), 5).holds(below, anchor)
    assert Relation("above", text("a"), 5).holds(anchor, below)
    assert Relation("near", text("a"), 10).holds(Rect(160, 130, 5, 5), anchor)
    assert not Relation("near", text("a"), 9).holds(Rect(160, 130, 5, 5), anchor)
    assert not Relation("near", text("a"), 9).holds(anchor, anchor), "a place is not near itself"


def test_relations_bear_boxes_of_lines_that_overlap():
    line, next_line = Rect(26, 40, 130, 18), Rect(26, 56, 60, 18)
    assert Relation("above", text("a"), 0).holds(line, next_line)
    assert Relation("below", text("a"), 0).holds(next_line, line)
    assert not Relation("below", text("a"), None).holds(line, line)
    button = Rect(300, 57, 50, 16)
    assert Relation("right_of", text("a"), None).holds(button, next_line)
    assert not Relation("right_of", text("a"), None).holds(button, line)


def test_a_point_beside_is_at_the_height_of_its_label():
    (one,) = found(text("Name:").beside("right_of", 30))
    assert one.point == (40 + 30, 8)
    (one,) = found(text("Name:").beside("right_of", None))
    assert one.point == (40 + 32, 8)
    assert Offset("left_of", 5).point(Rect(100, 100, 50, 20)) == (94, 110)
    assert Offset("below", 5).point(Rect(100, 100, 50, 20)) == (125, 125)
    assert Offset("above", 5).point(Rect(100, 100, 50, 20)) == (125, 94)
    with pytest.raises(GeometryError, match="at 700, 8, outside of the 640x400 screen"):
        check_point(one._replace(point=(700, 8)), 640, 400, "the point")


def test_every_place_of_an_image_is_found():
    pixels = console(LINES)
    needle = pixels[0:16, 136:160, :3][..., ::-1].copy()
    target = Target(ImageQuery(needle))
    assert [place.rect for place in found(target, one=False)] == [cell(17, 0, 3), cell(17, 2, 3)]
    (one,) = found(target.nth(1))
    assert one.score == 1.0 and one.point == (136 + 12, 32 + 8)


def test_counts_and_absence_are_conditions():
    assert len(found(text("Yes"), enough=lambda number: number == 2, one=False)) == 2
    assert found(text("Maybe"), enough=lambda number: number == 0, one=False) == ()
    scene = Console(*LINES).locate(text("Yes"), lambda number: number == 0, one=False)
    error = scene.error()
    assert "it is on the screen 2 times" in str(error)
    assert error.best.places == (cell(17, 0, 3), cell(17, 2, 3))


def test_time_out_names_the_most_similar_line():
    error = Console(*LINES).locate(text("Instal1")).error()
    assert "most similar: 'Install' at 0,64; text on the screen (glyphs): Name:" in str(error)
    assert error.best.rect == cell(0, 4, 7) and error.best.score > 0.8
    failed = ExpectationError.of(error)
    assert isinstance(failed, AssertionError) and isinstance(failed, TimeoutError)
    assert str(failed).startswith("timed out after 10 s expecting the text 'Instal1'")
    assert type(pickle.loads(pickle.dumps(failed))) is ExpectationError


def test_time_out_says_why_a_relation_does_not_hold():
    error = Console(*LINES).locate(text("Install").related("right_of", text("Mail:"), None)).error()
    assert (
        "the text 'Install' is once on the screen, but not to the right of the text 'Mail:'"
        in str(error)
    )
    error = Console(*LINES).locate(text("Yes").related("near", text("Delete"), 50)).error()
    assert "the text 'Delete' was not found" in str(error)
    error = Console(*LINES).locate(text("Yes").nth(2)).error()
    assert "only 2 places match" in str(error)
    error = (
        Console(*LINES)
        .locate(text("Yes", region=Rect(0, 0, 800, 20)).related("near", text("No"), 50))
        .error()
    )
    assert "the screen is 640x400 and has no region 800x20 at 0,0" in str(error)
    error = Console("").locate(text("Yes")).error()
    assert "no text on the screen" in str(error)


def test_a_place_that_never_holds_still_is_named():
    scene = Console("Yes").locate(text("Yes"), timeout=1)
    for row in range(1, 13):
        scene.show(*[""] * row, "Yes")
        assert not scene.after(0.09)
    assert "it is on the screen once, but does not hold still" in str(scene.error(0))


@pytest.mark.parametrize(
    "make",
    [
        lambda: text(""),
        lambda: text("a").nth(True),
        lambda: text("a").nth(1.5),
        lambda: text("a").within((0, 0, 0, 1)),
        lambda: text("a").beside("right_of", -1),
        lambda: text("a").related("near", text("b"), 1.5),
        lambda: Target(ImageQuery(np.zeros((4, 4, 3), np.uint8), 1.5)),
        lambda: check_count(-1),
        lambda: check_count(True),
        lambda: text_pattern(5),
    ],
)
def test_an_invalid_target_is_refused(make):
    with pytest.raises(UsageError):
        make()
