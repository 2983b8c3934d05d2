"""The pictures of each step, and the steps on the page."""

from __future__ import annotations

import numpy as np

from kju.report.film import FilmPicture, compressed
from kju.report.page import page
from kju.report.story import Story, StoryEvent
from kju.report.trace import pictures_of
from kju.surface.geometry import Rect

from .test_page import Parsed

PNG = compressed(np.zeros((48, 64, 4), np.uint8))


def story(*events: StoryEvent, times: tuple[float, ...] = (0.0, 2.0, 2.1, 2.2, 5.0)) -> Story:
    pictures = tuple(FilmPicture(time, 64, 48, PNG) for time in times)
    return Story("guest", 1.7e9, 10.0, (), pictures, events)


def test_a_wait_ends_on_its_picture() -> None:
    wait = StoryEvent(0.5, 2.1, "found", "the text 'x'")
    assert pictures_of(story(wait)) == [(0, 2)]


def test_an_input_is_followed_by_the_settled_screen() -> None:
    click = StoryEvent(1.0, 1.0, "pointer", "left button")
    assert pictures_of(story(click)) == [(0, 3)], "2.2 lasts; 2.0 and 2.1 are on the way"
    soon = StoryEvent(2.05, 2.05, "text", "a")
    assert pictures_of(story(click, soon))[0] == (0, 1), "the next input is not its answer"
    last = StoryEvent(6.0, 6.0, "text", "a")
    assert pictures_of(story(last)) == [(4, 4)], "nothing has changed"


def test_other_events_have_the_picture_of_their_time() -> None:
    note, early = StoryEvent(2.15, 2.15, "note", "x"), StoryEvent(0.5, 0.5, "serial", "x")
    assert pictures_of(story(note)) == [(2, 2)]
    assert pictures_of(story(early, times=(1.0,))) == [(None, None)]


def test_steps_name_their_pictures_and_have_their_drawings() -> None:
    events = (
        StoryEvent(1.0, 1.0, "pointer", "left button at 3, 4", places=((3, 4),)),
        StoryEvent(
            2.5, 5.0, "missed", "the text 'x'", "timed out", rect=Rect(1, 2, 3, 4),
            region=Rect(0, 0, 30, 30), seen=(Rect(9, 9, 2, 2),),
        ),
        StoryEvent(6.0, 6.0, "event", "paused"),
        StoryEvent(7.0, 7.0, "serial", "kju login:"),
    )  # fmt: skip
    parsed = Parsed(page([story(*events)], title="t"))
    steps = {a["id"]: a for a in parsed.all("li") if str(a.get("id")).startswith("s")}
    assert [a["class"] for a in steps.values()] == ["pointer", "missed", "event", "serial"]
    click, missed, *_ = steps.values()
    assert (click["data-before"], click["data-after"], click["data-own"]) == (
        "p0-0", "p0-3", "before"
    )  # fmt: skip
    assert (missed["data-own"], missed["data-failed"]) == ("after", "true")
    images = {a["id"] for a in parsed.all("img")}
    for step in steps.values():
        assert {step["data-before"], step["data-after"]} <= images
    # Once in the viewer, once in the list of all screens.
    kinds = [a.get("class") for a in parsed.all("rect")]
    assert kinds == ["region", "seen", "similar"] * 2
    assert len(parsed.all("img")) == 5, "the pictures are in the page once"
    assert [a["data-kinds"] for a in parsed.all("button") if "data-kinds" in a] == [
        "found missed broken", "text keys pointer", "event note", "serial"
    ]  # fmt: skip
    bars = [a["data-step"] for a in parsed.all("a", "bar") if "data-step" in a]
    assert sorted(bars) == sorted(steps)


def test_a_record_without_steps_or_pictures_has_no_viewer() -> None:
    event = StoryEvent(1.0, 1.0, "note", "x")
    for made in (story(), story(event, times=())):
        assert not Parsed(page([made], title="t")).all("div", "trace")
