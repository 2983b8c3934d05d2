"""The HTML page of a report. I/O-free, except for its own style sheet and script.

Rules:

- The page is built as a tree and escaped where it is written, never concatenated as text. In texts
  of a guest or a program, control characters and those that change a line's direction are spelled
  out.
- The page loads nothing, and its content policy forbids loading. Without JavaScript only the player
  is missing.
"""

from __future__ import annotations

import base64
import datetime
from collections.abc import Iterator, Sequence
from functools import cache
from importlib import resources
from xml.etree.ElementTree import Element, SubElement, tostring

from ..escaping import lines
from .film import FilmPicture
from .story import Failure, Story, StoryEvent

_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
_INPUT = ("text", "keys", "pointer")
_WAIT = ("found", "missed", "broken")
_LABELS = {
    "text": "type",
    "keys": "press",
    "pointer": "pointer",
    "found": "wait",
    "missed": "wait",
    "broken": "wait",
    "note": "note",
}
# Characters of a text. A hostile guest's text may have any length. pytest has cut a traceback, and
# its end matters most.
_MAX_TEXT, _MAX_FAILURE = 2000, 200_000
_STEPS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21600, 86400)


def page(
    stories: Sequence[Story], *, title: str, failure: Failure | None = None, verdict: str = ""
) -> str:
    """Return the page.

    Args:
        stories: The sections.
        title: The heading.
        failure: The error, which comes first.
        verdict: One word for the result.
    """
    root = Element("html", lang="en")
    head = SubElement(root, "head")
    SubElement(head, "meta", charset="utf-8")
    SubElement(head, "meta", {"http-equiv": "Content-Security-Policy", "content": _POLICY})
    SubElement(head, "meta", name="viewport", content="width=device-width, initial-scale=1")
    SubElement(head, "meta", {"name": "color-scheme", "content": "light dark"})
    _put(head, "title", title)
    SubElement(head, "style").text = _file("style.css")
    body = SubElement(root, "body")
    top = SubElement(body, "header")
    _put(top, "h1", title)
    word = verdict or ("failed" if failure else "")
    if word:
        _put(top, "p", word, "verdict bad" if failure else "verdict good")
    if failure is not None:
        _fail(body, failure)
    for number, story in enumerate(stories):
        _section(body, story, f"{number}-", alone=len(stories) == 1)
    SubElement(body, "script").text = _file("player.js")
    return "<!doctype html>\n" + tostring(root, encoding="unicode", method="html") + "\n"


def plain(text: str, limit: int = _MAX_TEXT) -> str:
    """Return a text cut to a limit, with invisible characters spelled out."""
    if len(text) > limit:
        text = f"{text[:limit]} \u2026 and {len(text) - limit} more characters"
    return lines(text)


# ---- Sections


def _fail(body: Element, failure: Failure) -> None:
    section = SubElement(body, "section", {"class": "failure"})
    _put(section, "h2", "Error")
    SubElement(section, "pre").text = plain(failure.words, _MAX_FAILURE)
    if failure.png:
        SubElement(section, "img", src=_data(failure.png), alt="The screen, with notes")


def _section(body: Element, story: Story, prefix: str, *, alone: bool) -> None:
    section = SubElement(body, "section", {"class": "machine"})
    if not alone:
        _put(section, "h2", story.name)
    _summary(section, story)
    _lanes(section, story, prefix)
    _player(section)
    moments = SubElement(section, "ol", {"class": "moments"})
    for number, (picture, until, events) in enumerate(_moments(story)):
        _moment(moments, f"{prefix}{number}", picture, until, events)
    if story.forgotten:
        _put(section, "p", story.forgotten, "quiet")


def _summary(section: Element, story: Story) -> None:
    began = datetime.datetime.fromtimestamp(story.began, datetime.UTC)
    inputs = sum(event.kind in _INPUT for event in story.events)
    waits = sum(event.kind in _WAIT for event in story.events)
    left_out = sum(picture.left_out for picture in story.pictures)
    counts = [
        began.strftime("%Y-%m-%d %H:%M:%S UTC"),
        _seconds(story.seconds),
        _counted(len(story.pictures), "screen") + (f" ({left_out} left out)" if left_out else ""),
        _counted(inputs, "input"),
        _counted(waits, "wait"),
    ]
    _put(section, "p", " \u00b7 ".join(counts), "quiet")
    if story.facts:
        details = SubElement(section, "details", {"class": "quiet"})
        _put(details, "summary", f"The machine {story.name}")
        facts = SubElement(details, "dl")
        for name, value in story.facts:
            _put(facts, "dt", name)
            _put(facts, "dd", value)


def _lanes(section: Element, story: Story, prefix: str) -> None:
    """Add an overview of the whole time: one lane each for screens, input and waits."""
    whole = max(story.seconds, 0.001)
    lanes = SubElement(section, "div", {"class": "lanes"})
    shown = _lane(lanes, "screens")
    done = _lane(lanes, "input")
    waited = _lane(lanes, "waits")
    for number, (picture, until, events) in enumerate(_moments(story)):
        if picture is not None:
            words = f"{_seconds(picture.time)}: {picture.width}x{picture.height}"
            _bar(shown, "shown", picture.time, until, whole, words, f"#m{prefix}{number}")
        for event in events:
            words = f"{_seconds(event.time)}: {plain(_line(event))}"
            place = f"#m{prefix}{number}"
            if event.kind in _INPUT:
                _bar(done, "input", event.time, event.ended, whole, words, place)
            elif event.kind in _WAIT:
                _bar(waited, event.kind, event.time, event.ended, whole, words, place)
    axis = SubElement(lanes, "div", {"class": "axis"})
    step = next((s for s in _STEPS if whole / s <= 8), 86400.0)
    for tick in range(int(whole / step) + 1):
        where = f"left:{100 * tick * step / whole:.3f}%"
        SubElement(axis, "span", style=where).text = f"{tick * step:g}"


def _lane(lanes: Element, name: str) -> Element:
    row = SubElement(lanes, "div", {"class": "lane"})
    SubElement(row, "span", {"class": "name"}).text = name
    return SubElement(row, "div", {"class": "track"})


def _bar(
    track: Element, kind: str, begin: float, end: float, whole: float, words: str, place: str
) -> None:
    left = min(max(begin / whole, 0.0), 1.0)
    width = min(max((end - begin) / whole, 0.0), 1.0 - left)
    style = f"left:{100 * left:.3f}%;width:{100 * width:.3f}%"
    name = f"bar {kind}"
    SubElement(track, "a", {"class": name, "style": style, "title": words, "href": place})


def _player(section: Element) -> None:
    """Add the player, in which the script shows one moment at a time; hidden without the script."""
    player = SubElement(section, "div", {"class": "player", "hidden": "hidden"})
    SubElement(player, "div", {"class": "stage"})
    controls = SubElement(player, "div", {"class": "controls"})
    _button(controls, "back", "\u2039", "The screen before")
    label = {"type": "range", "min": "0", "value": "0", "aria-label": "Screen"}
    SubElement(controls, "input", label)
    _button(controls, "on", "\u203a", "The next screen")
    SubElement(controls, "output")


def _button(controls: Element, kind: str, words: str, label: str) -> None:
    attributes = {"type": "button", "class": kind, "aria-label": label}
    SubElement(controls, "button", attributes).text = words


# ---- Moments: a picture, and what happened while it was shown


def _moments(story: Story) -> Iterator[tuple[FilmPicture | None, float, list[StoryEvent]]]:
    """Yield every picture with the time of the next one, and the events until then."""
    events, at = story.events, 0
    pictures: list[FilmPicture | None] = [None, *story.pictures]
    for number, picture in enumerate(pictures):
        following = pictures[number + 1] if number + 1 < len(pictures) else None
        until = following.time if following else story.seconds
        first = at
        while at < len(events) and (following is None or _event_time(events[at]) < until):
            at += 1
        if picture is not None or at > first:
            yield picture, until, list(events[first:at])


def _event_time(event: StoryEvent) -> float:
    return event.ended if event.kind in _WAIT else event.time


def _moment(
    moments: Element,
    number: str,
    picture: FilmPicture | None,
    until: float,
    events: list[StoryEvent],
) -> None:
    kind = "moment told" if events else "moment"
    item = SubElement(moments, "li", {"class": kind, "id": f"m{number}"})
    at = picture.time if picture else _event_time(events[0])
    words = SubElement(item, "div", {"class": "words"})
    time = SubElement(words, "p", {"class": "when"})
    time.text = _seconds(at)
    if picture is not None:
        SubElement(time, "span").text = f" for {_seconds(max(0.0, until - picture.time))}"
    if events:
        entries = SubElement(words, "ul")
        for event in events:
            _add_event(entries, event)
    if picture is None:
        return
    link = SubElement(item, "a", {"class": "screen", "href": f"#m{number}"})
    size = {"width": str(picture.width), "height": str(picture.height)}
    name = f"The screen at {_seconds(at)}"
    SubElement(link, "img", {"src": _data(picture.png), "alt": name, **size})
    _draw(link, picture, events)


def _add_event(entries: Element, event: StoryEvent) -> None:
    item = SubElement(entries, "li", {"class": event.kind})
    SubElement(item, "span", {"class": "at"}).text = _seconds(_event_time(event))
    SubElement(item, "span", {"class": "what"}).text = _LABELS[event.kind]
    words = SubElement(item, "bdi")
    words.text = plain(event.words) + (f" \u00d7{event.times}" if event.times > 1 else "")
    if event.kind in _WAIT:
        took = _seconds(event.ended - event.time)
        verdict = {"found": "after", "missed": "not in", "broken": "broken off after"}[event.kind]
        SubElement(item, "span", {"class": "verdict"}).text = f"{verdict} {took}"
        if event.answer:
            SubElement(item, "bdi", {"class": "answer"}).text = plain(event.answer)


def _draw(link: Element, picture: FilmPicture, events: list[StoryEvent]) -> None:
    """Draw the clicks and the matches of waits over the picture."""
    marks = [event for event in events if event.places or event.rect]
    if not marks:
        return
    box = f"0 0 {picture.width} {picture.height}"
    drawing = SubElement(link, "svg", {"viewBox": box, "aria-hidden": "true"})
    radius = max(picture.width, picture.height) / 64
    for event in marks:
        if event.rect is not None:
            rect = event.rect
            place = {"x": rect.x, "y": rect.y, "width": rect.width, "height": rect.height}
            SubElement(drawing, "rect", {name: str(value) for name, value in place.items()})
        if len(event.places) == 2:
            (x1, y1), (x2, y2) = event.places
            line = {"x1": str(x1), "y1": str(y1), "x2": str(x2), "y2": str(y2)}
            SubElement(drawing, "line", line)
        for x, y in event.places:
            for size, kind in ((radius, "ring"), (radius / 5, "dot")):
                circle = {"cx": str(x), "cy": str(y), "r": f"{size:.1f}", "class": kind}
                SubElement(drawing, "circle", circle)


# ---- Words


def _line(event: StoryEvent) -> str:
    return f"{_LABELS[event.kind]} {event.words}" + (f": {event.answer}" if event.answer else "")


def _put(parent: Element, tag: str, text: str, kind: str = "") -> Element:
    child = SubElement(parent, tag, {"class": kind} if kind else {})
    child.text = plain(text)
    return child


def _seconds(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.2f} s"
    minutes, rest = divmod(round(seconds, 1), 60)
    hours, minutes = divmod(int(minutes), 60)
    return f"{hours}:{minutes:02}:{rest:04.1f}" if hours else f"{minutes}:{rest:04.1f} min"


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _data(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode()


@cache
def _file(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text("utf-8")
