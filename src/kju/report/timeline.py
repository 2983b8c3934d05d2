"""The overview of a record's whole time: one lane each for screens, waits, input and the rest."""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree.ElementTree import Element, SubElement

from .markup import INPUT, LABELS, WAIT, plain, seconds
from .moments import moments_of
from .story import Story, StoryEvent

_STEPS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21600, 86400)
#: The lanes, with the kinds of events in each.
LANES = (("waits", WAIT), ("input", INPUT), ("events", ("event", "note")), ("serial", ("serial",)))


def add_timeline(section: Element, story: Story, prefix: str) -> None:
    """Add the lanes, whose bars lead to the moments."""
    whole = max(story.seconds, 0.001)
    lanes = SubElement(section, "div", {"class": "lanes"})
    shown = _lane(lanes, "screens")
    places: list[str] = []
    for number, (_, picture, until, events) in enumerate(moments_of(story)):
        place = f"m{prefix}{number}"
        places += [place] * len(events)
        if picture is not None:
            words = f"{seconds(picture.time)}: {picture.width}x{picture.height}"
            _bar(shown, "shown", picture.time, until, whole, words, place, "")
    for name, kinds in LANES:
        _add_lane(lanes, name, kinds, story.events, places, whole, prefix)
    axis = SubElement(lanes, "div", {"class": "axis"})
    step = next((s for s in _STEPS if whole / s <= 8), 86400.0)
    for tick in range(int(whole / step) + 1):
        where = f"left:{100 * tick * step / whole:.3f}%"
        SubElement(axis, "span", style=where).text = f"{tick * step:g}"


def _add_lane(
    lanes: Element,
    name: str,
    kinds: Sequence[str],
    events: Sequence[StoryEvent],
    places: Sequence[str],
    whole: float,
    prefix: str,
) -> None:
    track: Element | None = None
    for number, (event, place) in enumerate(zip(events, places, strict=True)):
        if event.kind not in kinds:
            continue
        track = _lane(lanes, name) if track is None else track
        words = f"{seconds(event.time)}: {plain(_line(event))}"
        kind = "input" if event.kind in INPUT else event.kind
        _bar(track, kind, event.time, event.ended, whole, words, place, f"s{prefix}{number}")


def _lane(lanes: Element, name: str) -> Element:
    row = SubElement(lanes, "div", {"class": "lane"})
    SubElement(row, "span", {"class": "name"}).text = name
    return SubElement(row, "div", {"class": "track"})


def _bar(
    track: Element,
    kind: str,
    begin: float,
    end: float,
    whole: float,
    words: str,
    place: str,
    step: str,
) -> None:
    left = min(max(begin / whole, 0.0), 1.0)
    width = min(max((end - begin) / whole, 0.0), 1.0 - left)
    attributes = {
        "class": f"bar {kind}",
        "style": f"left:{100 * left:.3f}%;width:{100 * width:.3f}%",
        "title": words,
        "href": f"#{place}",
    }
    SubElement(track, "a", {**attributes, **({"data-step": step} if step else {})})


def _line(event: StoryEvent) -> str:
    return f"{LABELS[event.kind]} {event.words}" + (f": {event.answer}" if event.answer else "")
