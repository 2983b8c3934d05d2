"""Words and elements of the page: escaped text, times, pictures. I/O-free, except for its files."""

from __future__ import annotations

import base64
from functools import cache
from importlib import resources
from xml.etree.ElementTree import Element, SubElement

from ..escaping import lines
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
