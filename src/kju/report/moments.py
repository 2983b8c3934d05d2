"""All screens of a record, each with what happened while it was shown. I/O-free.

This list needs no script, and the trace viewer takes its pictures from it, so that each is in the
page once.
"""

from __future__ import annotations

from collections.abc import Iterator
from xml.etree.ElementTree import Element, SubElement

from .film import FilmPicture
from .markup import LABELS, data_address, draw, put, seconds, time_of, verdict_of, words_of
from .story import Story, StoryEvent


def moments_of(
    story: Story,
) -> Iterator[tuple[int | None, FilmPicture | None, float, list[StoryEvent]]]:
    """Yield each picture with its number, the time of the next one, and the events until then.

    The first one is None if there are events before the first picture.
    """
    events, at = story.events, 0
    pictures: list[FilmPicture | None] = [None, *story.pictures]
    for number, picture in enumerate(pictures):
        following = pictures[number + 1] if number + 1 < len(pictures) else None
        until = following.time if following else story.seconds
        first = at
        while at < len(events) and (following is None or time_of(events[at]) < until):
            at += 1
        if picture is not None or at > first:
            yield (number - 1 if picture else None), picture, until, list(events[first:at])


def add_moments(section: Element, story: Story, prefix: str) -> None:
    """Add the list."""
    whole = SubElement(section, "details", {"class": "all", "open": "open"})
    SubElement(whole, "summary").text = "All screens"
    moments = SubElement(whole, "ol", {"class": "moments"})
    for number, (index, picture, until, events) in enumerate(moments_of(story)):
        item = _moment(moments, f"{prefix}{number}", picture, until, events)
        if picture is not None:
            _picture(item, f"{prefix}{number}", f"{prefix}{index}", picture, events)


def _moment(
    moments: Element,
    number: str,
    picture: FilmPicture | None,
    until: float,
    events: list[StoryEvent],
) -> Element:
    kind = "moment told" if events else "moment"
    item = SubElement(moments, "li", {"class": kind, "id": f"m{number}"})
    at = picture.time if picture else time_of(events[0])
    words = SubElement(item, "div", {"class": "words"})
    time = SubElement(words, "p", {"class": "when"})
    time.text = seconds(at)
    if picture is not None:
        SubElement(time, "span").text = f" for {seconds(max(0.0, until - picture.time))}"
    if events:
        entries = SubElement(words, "ul")
        for event in events:
            add_event(SubElement(entries, "li", {"class": event.kind}), event)
    return item


def _picture(
    item: Element, number: str, index: str, picture: FilmPicture, events: list[StoryEvent]
) -> None:
    link = SubElement(item, "a", {"class": "screen", "href": f"#m{number}"})
    size = {"width": str(picture.width), "height": str(picture.height), "id": f"p{index}"}
    name = f"The screen at {seconds(picture.time)}"
    SubElement(link, "img", {"src": data_address(picture.png), "alt": name, **size})
    draw(link, picture.width, picture.height, events)


def add_event(item: Element, event: StoryEvent) -> None:
    """Add the words of an event."""
    SubElement(item, "span", {"class": "at"}).text = seconds(time_of(event))
    SubElement(item, "span", {"class": "what"}).text = LABELS[event.kind]
    SubElement(item, "bdi").text = words_of(event)
    if verdict := verdict_of(event):
        SubElement(item, "span", {"class": "verdict"}).text = verdict
    if event.answer:
        put(item, "bdi", event.answer, "answer")
