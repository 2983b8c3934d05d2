"""The page, read by an HTML parser as a browser does."""

import base64
from html.parser import HTMLParser

import numpy as np
import pytest

from kju.report.film import FilmPicture, compressed
from kju.report.markup import LABELS, plain
from kju.report.page import page
from kju.report.story import Failure, Story, StoryEvent
from kju.surface.geometry import Rect

PNG = compressed(np.zeros((48, 64, 4), np.uint8))
HOSTILE = "</pre></bdi><script>alert(1)</script><img src=x onerror=alert(2)>\"' \u202e\x1b[31m"


class Parsed(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.words, self.open = [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        self.open.append(tag)

    def handle_endtag(self, tag):
        while self.open and self.open.pop() != tag:
            pass

    def handle_data(self, data):
        if not {"style", "script"} & set(self.open):
            self.words.append(data)

    def all(self, tag, kind=""):
        return [a for t, a in self.tags if t == tag and kind in (a.get("class") or "")]


def listed(text):
    """The list of all screens, without the trace viewer."""
    return Parsed(text[text.index('<details class="all"') :])


def story(*events, pictures=2, name="guest", **more):
    shown = tuple(FilmPicture(float(n), 64, 48, PNG) for n in range(pictures))
    return Story(name, 1.7e9, 10.0, (("QEMU", "10.0.2"),), shown, events, **more)


def test_page_is_one_file():
    parsed = Parsed(page([story(pictures=3)], title="a test"))
    images = parsed.all("img")
    assert [base64.b64decode(i["src"].partition(",")[2]) for i in images] == [PNG] * 3
    assert len(parsed.all("li", "moment")) == 3
    for _, attributes in parsed.tags:
        for name in ("src", "href", "action", "data"):
            assert attributes.get(name, "#").startswith(("#", "data:image/png;base64,"))
    (policy,) = (a["content"] for a in parsed.all("meta") if "http-equiv" in a)
    assert "default-src 'none'" in policy
    viewed = Parsed(page([story(StoryEvent(0, 0, "note", "x"))], title="a test"))
    assert viewed.all("div", "trace")[0]["hidden"] == "hidden"  # until the script shows it


@pytest.mark.parametrize("kind", LABELS)
def test_text_of_a_guest_is_escaped(kind):
    event = StoryEvent(0.5, 0.6, kind, HOSTILE, answer=HOSTILE)
    harmless = Parsed(page([story(StoryEvent(0.5, 0.6, kind, "x", answer="x"))], title="t"))
    facts = (("QEMU", HOSTILE),)
    hostile = story(event, name=HOSTILE, forgotten="x")._replace(facts=facts)
    text = page([hostile], title=HOSTILE, failure=Failure(HOSTILE), verdict=HOSTILE)
    parsed = Parsed(text)
    assert len(parsed.all("script")) == len(harmless.all("script")) == 1
    assert len(parsed.all("img")) == len(harmless.all("img"))
    assert not any("onerror" in attributes for _, attributes in parsed.tags)
    assert "\u202e" not in text and "\x1b" not in text
    words = "".join(parsed.words)
    assert words.count("<script>alert(1)</script>") >= 4
    assert "\\u202e\\x1b[31m" in words


def test_a_text_without_end_is_cut():
    assert len(plain("x" * 1_000_000)) < 3000
    assert plain("a\tb\nc") == "a    b\nc"
    assert plain("\ud800") == "\\ud800"


def test_a_long_answer_is_cut_once():
    wait = StoryEvent(0.2, 1.5, "missed", "the text 'x'", "a" * 3000)
    words = "".join(listed(page([story(wait)], title="t")).words)
    assert "a \u2026 and 1000 more characters" in words


def test_the_end_of_a_long_output_is_shown():
    output = StoryEvent(0.2, 0.2, "serial", "x" * 20_000 + " end of kernel panic")
    assert "end of kernel panic" in "".join(listed(page([story(output)], title="t")).words)


def test_events_are_beside_the_screen_of_their_time():
    click = StoryEvent(0.5, 0.5, "pointer", "left button at 3, 4", places=((3, 4),))
    wait = StoryEvent(
        0.2, 1.5, "found", "the text 'x'", "found at 1, 2, 5x6", rect=Rect(1, 2, 5, 6)
    )
    parsed = listed(page([story(click, wait)], title="t"))
    order = [a.get("id") or a.get("class") for t, a in parsed.tags if t in ("li", "circle", "rect")]
    assert order == ["m0-0", "pointer", "ring", "dot", "m0-1", "found", "found"]
    (ring, dot), (rect,) = parsed.all("circle"), parsed.all("rect")
    assert (ring["cx"], ring["cy"], dot["cx"]) == ("3", "4", "3")
    assert [rect[n] for n in ("x", "y", "width", "height")] == ["1", "2", "5", "6"]
    assert "after 1.30 s" in parsed.words


def test_events_before_the_first_screen_are_shown():
    parsed = Parsed(page([story(StoryEvent(0, 0, "note", "no picture"), pictures=0)], title="t"))
    assert "no picture" in parsed.words
    assert not parsed.all("img")


def test_a_drag_is_a_line():
    drag = StoryEvent(0.5, 0.9, "pointer", "left button", places=((1, 2), (30, 40)))
    (line,) = listed(page([story(drag)], title="t")).all("line")
    assert (line["x1"], line["y1"], line["x2"], line["y2"]) == ("1", "2", "30", "40")


def test_a_failure_comes_first_with_its_picture():
    parsed = Parsed(page([story()], title="t", failure=Failure("Oops: it failed", PNG)))
    assert [a["class"] for a in parsed.all("section")] == ["failure", "machine"]
    assert "Oops: it failed" in parsed.words and "failed" in parsed.words
    assert len(parsed.all("img")) == 3


def test_end_of_a_long_traceback_is_shown():
    words = "\n".join(f"line {n}" for n in range(1000)) + "\nE the error itself"
    parsed = Parsed(page([story()], title="t", failure=Failure(words)))
    assert any(text.endswith("E the error itself") for text in parsed.words)


def test_several_machines_have_places_of_their_own():
    parsed = Parsed(page([story(name="one"), story(name="two")], title="t", verdict="passed"))
    names = [a["id"] for a in parsed.all("li", "moment")]
    assert names == ["m0-0", "m0-1", "m1-0", "m1-1"]
    assert {"one", "two", "passed"} <= set(parsed.words)
