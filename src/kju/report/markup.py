"""Words and elements of the page: escaped text, times, pictures and drawings over them.

I/O-free, except for its files.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable
from functools import cache
from importlib import resources
from xml.etree.ElementTree import Element, SubElement

from ..escaping import lines
from ..surface.geometry import Rect
from .story import StoryEvent

INPUT = ("text", "keys", "pointer")
WAIT = ("found", "missed", "broken")
FAILED = ("missed", "broken")
LABELS = {
    "text": "type",
    "keys": "press",
    "pointer": "pointer",
    "found": "wait",
    "missed": "wait",
    "broken": "wait",
    "note": "note",
    "event": "event",
    "serial": "serial",
}
# Characters of a text. A hostile guest's text may have any length.
_MAX_TEXT = 2000
# Characters of one read of a serial port: a panic is at its end. `streams` bounds all reads.
_MAX_SERIAL_TEXT = 1 << 16


def plain(text: str, limit: int = _MAX_TEXT) -> str:
    """Return a text cut to a limit, with invisible characters spelled out."""
    if len(text) > limit:
        text = f"{text[:limit]} \u2026 and {len(text) - limit} more characters"
    return lines(text)


def put(parent: Element, tag: str, text: str, kind: str = "") -> Element:
    """Add an element with a text of any origin."""
    child = SubElement(parent, tag, {"class": kind} if kind else {})
    child.text = plain(text)
    return child


def time_of(event: StoryEvent) -> float:
    """Return the time at which an event is listed: the end of a wait, the begin of another."""
    return event.ended if event.kind in WAIT else event.time


def words_of(event: StoryEvent) -> str:
    """Return the description of an event with the number of its repetitions."""
    limit = _MAX_SERIAL_TEXT if event.kind == "serial" else _MAX_TEXT
    return plain(event.words, limit) + (f" \u00d7{event.times}" if event.times > 1 else "")


def verdict_of(event: StoryEvent) -> str:
    """Return the result of a wait, such as ``after 1.30 s``; empty for another event."""
    if event.kind not in WAIT:
        return ""
    verdict = {"found": "after", "missed": "not in", "broken": "broken off after"}[event.kind]
    return f"{verdict} {seconds(event.ended - event.time)}"


def seconds(time: float) -> str:
    """Return a time as a reader sees it."""
    if time < 60:
        return f"{time:.2f} s"
    minutes, rest = divmod(round(time, 1), 60)
    hours, minutes = divmod(int(minutes), 60)
    return f"{hours}:{minutes:02}:{rest:04.1f}" if hours else f"{minutes}:{rest:04.1f} min"


def counted(number: int, noun: str) -> str:
    """Return a number with its noun."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def data_address(png: bytes) -> str:
    """Return the address of a picture that is in the page itself."""
    return "data:image/png;base64," + base64.b64encode(png).decode()


@cache
def file_text(name: str) -> str:
    """Return a file of this folder: the style sheet or the script."""
    return resources.files(__package__).joinpath(name).read_text("utf-8")


# ---- Drawings over a picture: locators, places found or seen instead, clicks


def draw(parent: Element, width: int, height: int, events: Iterable[StoryEvent]) -> None:
    """Draw events over a picture of a size; nothing without a place."""
    marks = [event for event in events if has_places(event)]
    if not marks:
        return
    box = f"0 0 {width} {height}"
    drawing = SubElement(parent, "svg", {"viewBox": box, "aria-hidden": "true"})
    for event in marks:
        _draw_event(drawing, event, max(width, height) / 64)


def has_places(event: StoryEvent) -> bool:
    """Check whether an event can be drawn."""
    return bool(event.places or event.rect or event.region or event.seen)


def _draw_event(drawing: Element, event: StoryEvent, radius: float) -> None:
    if event.region is not None:
        _rectangle(drawing, event.region, "region")
    for rect in event.seen:
        if rect != event.rect:
            _rectangle(drawing, rect, "seen")
    if event.rect is not None:
        _rectangle(drawing, event.rect, "found" if event.kind != "missed" else "similar")
    if len(event.places) == 2:
        (x1, y1), (x2, y2) = event.places
        line = {"x1": str(x1), "y1": str(y1), "x2": str(x2), "y2": str(y2)}
        SubElement(drawing, "line", line)
    for x, y in event.places:
        for size, kind in ((radius, "ring"), (radius / 5, "dot")):
            circle = {"cx": str(x), "cy": str(y), "r": f"{size:.1f}", "class": kind}
            SubElement(drawing, "circle", circle)


def _rectangle(drawing: Element, rect: Rect, kind: str) -> None:
    place = {"x": rect.x, "y": rect.y, "width": rect.width, "height": rect.height}
    attributes = {name: str(value) for name, value in place.items()}
    SubElement(drawing, "rect", {**attributes, "class": kind})
