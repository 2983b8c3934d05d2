"""The trace viewer: the list of steps, and the screen before and after the chosen one. I/O-free.

The page has the steps, and says which pictures belong to each; `trace.js` shows them. Without the
script the viewer is hidden, and `moments` has everything.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import NamedTuple
from xml.etree.ElementTree import Element, SubElement

from .film import FilmPicture
from .markup import FAILED, INPUT, WAIT, draw, has_places
from .moments import add_event
from .story import Story, StoryEvent
from .timeline import LANES

# A picture that is shown for so long is the guest's answer; shorter ones are parts of it.
_SETTLED = 0.5


class StepPictures(NamedTuple):
    """The pictures of a step, by their numbers; None where the record has none.

    Attributes:
        before: The screen before it.
        after: The screen after it: the one on which a wait ended, the guest's answer to an input.
    """

    before: int | None
    after: int | None


def pictures_of(story: Story) -> list[StepPictures]:
    """Return the pictures of each event of a story."""
    found: list[StepPictures] = []
    inputs = sorted(event.time for event in story.events if event.kind in INPUT)
    for event in story.events:
        before = _last(story.pictures, event.time)
        if event.kind in INPUT:
            following = bisect_right(inputs, event.ended)
            until = inputs[following] if following < len(inputs) else story.seconds
            after = _settled(story.pictures, event.ended, until)
        else:
            after = _last(story.pictures, event.ended)
        found.append(StepPictures(before, before if after is None else after))
    return found


def _last(pictures: Sequence[FilmPicture], time: float) -> int | None:
    """Return the picture that is shown at a time."""
    shown = [number for number, picture in enumerate(pictures) if picture.time <= time]
    return shown[-1] if shown else None


def _settled(pictures: Sequence[FilmPicture], since: float, until: float) -> int | None:
    """Return the first lasting picture between two times; else the last one."""
    found: int | None = None
    for number, picture in enumerate(pictures):
        if not since < picture.time <= until:
            continue
        found = number
        following = pictures[number + 1].time if number + 1 < len(pictures) else float("inf")
        if following - picture.time >= _SETTLED:
            break
    return _last(pictures, since) if found is None else found


def add_trace(section: Element, story: Story, prefix: str) -> None:
    """Add the viewer, if there is something to view."""
    if not story.events or not story.pictures:
        return
    viewer = SubElement(section, "div", {"class": "trace", "hidden": "hidden"})
    side = SubElement(viewer, "div", {"class": "side"})
    _add_filters(side, story.events)
    steps = SubElement(side, "ol", {"class": "steps", "aria-label": "Steps"})
    pairs = zip(story.events, pictures_of(story), strict=True)
    for number, (event, pictures) in enumerate(pairs):
        _add_step(steps, f"{prefix}{number}", event, pictures, story, prefix)
    stage = SubElement(viewer, "div", {"class": "stage"})
    tabs = SubElement(stage, "div", {"class": "tabs"})
    for name in ("before", "after"):
        label = {"type": "button", "class": name, "aria-pressed": "false"}
        SubElement(tabs, "button", label).text = name.capitalize()
    SubElement(tabs, "output")
    SubElement(stage, "div", {"class": "frame"})
    SubElement(stage, "div", {"class": "words", "aria-live": "polite"})
    keys = "Up and Down choose a step, Left and Right the screen before and after it."
    SubElement(viewer, "p", {"class": "quiet hint"}).text = keys


def _add_filters(side: Element, events: Sequence[StoryEvent]) -> None:
    """Add a button for each kind of events, if there are several."""
    present = [(name, kinds) for name, kinds in LANES if any(e.kind in kinds for e in events)]
    if len(present) < 2:
        return
    filters = SubElement(side, "div", {"class": "filters"})
    for name, kinds in present:
        attributes = {"type": "button", "aria-pressed": "true", "data-kinds": " ".join(kinds)}
        SubElement(filters, "button", attributes).text = name


def _add_step(
    steps: Element,
    number: str,
    event: StoryEvent,
    pictures: StepPictures,
    story: Story,
    prefix: str,
) -> None:
    own = pictures.after if event.kind in WAIT else pictures.before
    attributes = {"class": event.kind, "id": f"s{number}"}
    for name, index in pictures._asdict().items():
        if index is not None:
            attributes[f"data-{name}"] = f"p{prefix}{index}"
    attributes["data-own"] = "after" if event.kind in WAIT else "before"
    if event.kind in FAILED:
        attributes["data-failed"] = "true"
    item = SubElement(steps, "li", attributes)
    button = SubElement(item, "button", {"type": "button", "tabindex": "-1"})
    add_event(button, event)
    if own is not None and has_places(event):
        picture = story.pictures[own]
        draw(item, picture.width, picture.height, [event])
