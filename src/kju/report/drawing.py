"""Drawings over a picture: locators, places that were found or seen instead, clicks. I/O-free."""

from __future__ import annotations

from collections.abc import Iterable
from xml.etree.ElementTree import Element, SubElement

from ..surface.geometry import Rect
from .story import StoryEvent


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
