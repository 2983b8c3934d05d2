"""The HTML page of a report. I/O-free, except for its own style sheet and script.

    markup      words, times, escaped text
    moments     all screens, each with its events; needs no script
    timeline    the lanes
    trace       the steps, and the screen before and after each; shown by trace.js
    drawing     locators and clicks over a picture

Rules:

- The page is built as a tree and escaped where it is written, never concatenated as text. In texts
  of a guest or a program, control characters and those that change a line's direction are spelled
  out.
- The page loads nothing, and its content policy forbids loading. Without JavaScript only the trace
  viewer is missing.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from xml.etree.ElementTree import Element, SubElement, tostring

from .markup import INPUT, WAIT, counted, data_address, file_text, plain, put, seconds
from .moments import add_moments
from .story import Failure, Story
from .timeline import add_timeline
from .trace import add_trace

_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
# Characters of a failure: pytest has cut a traceback, and its end matters most.
_MAX_FAILURE = 200_000


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
    put(head, "title", title)
    SubElement(head, "style").text = file_text("style.css")
    body = SubElement(root, "body")
    top = SubElement(body, "header")
    put(top, "h1", title)
    word = verdict or ("failed" if failure else "")
    if word:
        put(top, "p", word, "verdict bad" if failure else "verdict good")
    if failure is not None:
        _fail(body, failure)
    for number, story in enumerate(stories):
        _section(body, story, f"{number}-", alone=len(stories) == 1)
    SubElement(body, "script").text = file_text("trace.js")
    return "<!doctype html>\n" + tostring(root, encoding="unicode", method="html") + "\n"


def _fail(body: Element, failure: Failure) -> None:
    section = SubElement(body, "section", {"class": "failure"})
    put(section, "h2", "Error")
    SubElement(section, "pre").text = plain(failure.words, _MAX_FAILURE)
    if failure.png:
        SubElement(section, "img", src=data_address(failure.png), alt="The screen, with notes")


def _section(body: Element, story: Story, prefix: str, *, alone: bool) -> None:
    section = SubElement(body, "section", {"class": "machine"})
    if not alone:
        put(section, "h2", story.name)
    _summary(section, story)
    add_timeline(section, story, prefix)
    add_trace(section, story, prefix)
    add_moments(section, story, prefix)
    if story.forgotten:
        put(section, "p", story.forgotten, "quiet")


def _summary(section: Element, story: Story) -> None:
    began = datetime.datetime.fromtimestamp(story.began, datetime.UTC)
    inputs = sum(event.kind in INPUT for event in story.events)
    waits = sum(event.kind in WAIT for event in story.events)
    left_out = sum(picture.left_out for picture in story.pictures)
    counts = [
        began.strftime("%Y-%m-%d %H:%M:%S UTC"),
        seconds(story.seconds),
        counted(len(story.pictures), "screen") + (f" ({left_out} left out)" if left_out else ""),
        counted(inputs, "input"),
        counted(waits, "wait"),
    ]
    put(section, "p", " \u00b7 ".join(counts), "quiet")
    if story.facts:
        details = SubElement(section, "details", {"class": "quiet"})
        put(details, "summary", f"The machine {story.name}")
        facts = SubElement(details, "dl")
        for name, value in story.facts:
            put(facts, "dt", name)
            put(facts, "dd", value)
