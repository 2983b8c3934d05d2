"""The trace viewer's script, in a browser."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kju.report.film import FilmPicture, compressed
from kju.report.page import page
from kju.report.story import Story, StoryEvent
from kju.surface.geometry import Rect

#: A bound on a hang.
HANG = 120
#: Presses keys and buttons, and writes what is shown then into the page.
DRIVER = """
const seen = [];
const note = () => seen.push({
  step: document.querySelector(".steps .chosen bdi").textContent,
  picture: document.querySelector(".frame img").alt,
  drawn: [...document.querySelectorAll(".frame rect")].map((r) => r.getAttribute("class")),
  tab: document.querySelector(".tabs [aria-pressed=true]").textContent,
  focus: document.activeElement.closest("li")?.id || "",
  count: document.querySelector(".tabs output").textContent,
});
const press = (key) => {
  const at = document.activeElement === document.body ? document.querySelector(".chosen button")
    : document.activeElement;
  at.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));
  note();
};
note();
for (const key of ["ArrowLeft", "ArrowUp", "ArrowRight", "Home", "End", "ArrowDown"]) press(key);
for (const button of document.querySelectorAll(".filters button")) {
  if (button.textContent === "input") button.click();
}
note();
document.querySelector('[data-step="s0-1"]').click();
note();
document.body.dataset.seen = JSON.stringify({
  seen,
  hidden: document.querySelector(".trace").hidden,
  open: document.querySelector("details.all").open,
  strip: document.querySelectorAll(".strip img").length,
  wide: document.documentElement.scrollWidth <= document.documentElement.clientWidth,
});
"""


def shown(folder: Path, text: str, driver: str = DRIVER, *options: str) -> dict[str, Any]:
    """Open a page in Chromium, drive it, and return what it showed."""
    browser = shutil.which("chromium")
    if browser is None:
        pytest.skip("there is no chromium here: apt install chromium")
    file = folder / "report.html"
    file.write_text(text.replace("</body>", f"<script>{driver}</script></body>"))
    command = [
        browser, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder}/browser",
        "--dump-dom", *options, file.as_uri(),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=HANG, check=False)
    found = re.search(r'data-seen="([^"]*)"', done.stdout)
    assert found, done.stderr[-2000:]
    return json.loads(html.unescape(found[1]))  # type: ignore[no-any-return]


def a_story() -> Story:
    shades = (0, 60, 120)
    pictures = tuple(
        FilmPicture(float(2 * at), 64, 48, compressed(np.full((48, 64, 4), shade, np.uint8)))
        for at, shade in enumerate(shades)
    )
    events = (
        StoryEvent(1.0, 1.0, "text", "first"),
        StoryEvent(1.5, 2.5, "missed", "second", rect=Rect(1, 1, 9, 9), seen=(Rect(9, 9, 9, 9),)),
        StoryEvent(5.0, 5.0, "serial", "third <b>"),
    )
    return Story("guest", 1.7e9, 6.0, (), pictures, events)


def test_the_viewer_works_by_keyboard_and_pointer(tmp_path: Path) -> None:
    found = shown(tmp_path, page([a_story()], title="t"))
    steps = [(each["step"], each["picture"][-6:], each["tab"]) for each in found["seen"]]
    assert steps == [
        ("second", "2.00 s", "After"),  # the failed step comes first
        ("second", "0.00 s", "Before"),
        ("first", "0.00 s", "Before"),
        ("first", "2.00 s", "After"),
        ("first", "0.00 s", "Before"),
        ("third <b>", "4.00 s", "Before"),
        ("third <b>", "4.00 s", "Before"),  # the last one
        ("third <b>", "4.00 s", "Before"),
        ("second", "2.00 s", "After"),
    ]
    assert found["seen"][0]["drawn"] == ["seen", "similar"]
    assert found["seen"][1]["drawn"] == [], "a wait's places are on its own picture"
    assert found["seen"][2]["focus"] == "s0-0"
    assert [each["count"] for each in found["seen"]][-3:] == ["3 of 3", "2 of 2", "1 of 2"]
    assert (found["hidden"], found["open"]) == (False, False)
    assert found["strip"] >= 2
    assert found["wide"], "nothing is wider than the page"


def test_a_narrow_page_is_not_wider_than_its_window(tmp_path: Path) -> None:
    long = StoryEvent(0.5, 1.0, "found", "w" * 400, "a" * 400)
    story = a_story()._replace(name="n" * 200, events=(long,))
    text = page([story, story], title="t" * 300)
    inner = tmp_path / "inner.html"
    inner.write_text(text)
    frame = f'<iframe src="{inner.name}" style="width:390px;height:800px"></iframe>'
    driver = """onload = () => { const page = document.querySelector("iframe").contentDocument;
        document.body.dataset.seen = JSON.stringify({wide: page.documentElement.scrollWidth}); }"""
    outer = f"<!doctype html><html><body>{frame}</body></html>"
    found = shown(tmp_path, outer, driver, "--allow-file-access-from-files")
    assert found["wide"] <= 390
