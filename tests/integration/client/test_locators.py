"""Locators and expectations against a scripted screen: both halves of the API."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from support.acting_host import ActingMachine, Later, acting_host
from support.halves import Api

import kju
import kju.aio
from kju import keys, report
from kju.acting import AmbiguousTargetError, ExpectationError
from kju.errors import GeometryError, RoleError, UsageError
from kju.protocol.values import Button, To
from kju.vision import Needle, ScreenTimeoutError

pytestmark = pytest.mark.usefixtures("runtime_folder")
LINES = ("", "  Name:            [ Cancel ]", "", "  Mail:            [ Cancel ]  [ Install ]")
CTRL, A, DELETE = keys.number("ctrl"), keys.number("a"), keys.number("delete")
LEFT = [Button(0, True), Button(0, False)]
#: A bound on a hang.
SEEN = 30.0


@pytest.fixture
def host(runtime_folder: Path) -> Iterator[ActingMachine]:
    with acting_host() as machine:
        machine.show(*LINES)
        yield machine


@pytest.fixture
def machine(api: Api, host: ActingMachine) -> Iterator[Any]:
    attached = api(api.module.attach, "acting")
    attached.default_timeout = SEEN
    yield attached
    api(attached.close)


def test_actions_use_the_middle_of_the_place(api: Api, machine: Any, host: ActingMachine) -> None:
    install = machine.screen.text("Install")
    assert repr(install) == "<Locator of the text 'Install'>"
    api(install.click)
    api(install.double_click)
    api(install.click, button="right", keys=["ctrl"])
    api(install.hover)
    api(install.drag_to, machine.screen.text("Name:"))
    middle = To(33 * 8 + 28, 3 * 16 + 8)
    assert host.log == [
        middle, *LEFT, middle, *LEFT, *LEFT,
        (CTRL, True), middle, Button(2, True), Button(2, False), (CTRL, False),
        middle, middle, Button(0, True), To(2 * 8 + 20, 16 + 8), Button(0, False),
    ]  # fmt: skip


def test_a_place_is_clicked_when_it_appears(api: Api, machine: Any, host: ActingMachine) -> None:
    host.show("please wait")
    later = Later()
    later(0.2, host.show, "", "", "     Install")
    mark = api(machine.screen.text("Install").click)
    later.join()
    assert mark.version == host.producer.version
    assert host.log == [To(5 * 8 + 28, 2 * 16 + 8), *LEFT]


def test_fill_clicks_beside_a_label_and_replaces_its_text(
    api: Api, machine: Any, host: ActingMachine
) -> None:
    name = machine.screen.text("Name:").right_of(24)
    select = [(CTRL, True), (A, True), (A, False), (CTRL, False)]
    beside = To(7 * 8 + 24, 16 + 8)
    api(name.fill, "a")
    assert host.log == [beside, *LEFT, *select, (A, True), (A, False)]
    host.log.clear()
    api(name.fill, "")
    assert host.log == [beside, *LEFT, *select, (DELETE, True), (DELETE, False)]
    host.log.clear()
    api(machine.screen.text("Name:").right_of().fill, "a", select=None)
    assert host.log == [To(7 * 8 + 32, 16 + 8), *LEFT, (A, True), (A, False)]
    host.log.clear()
    with pytest.raises(UsageError, match="has no key for"):
        api(name.fill, "\u20ac")
    with pytest.raises(GeometryError, match="outside of the 640x400 screen"):
        api(machine.screen.text("Name:").right_of(640).click)
    assert host.log == []


def test_locators_are_narrowed_by_others(api: Api, machine: Any, host: ActingMachine) -> None:
    screen = machine.screen
    cancel, mail = screen.text("Cancel"), screen.text("Mail:")
    with pytest.raises(AmbiguousTargetError, match="2 places match the text 'Cancel'"):
        api(cancel.click)
    assert host.log == []
    first, second = (16, 24), (16, 56)
    row = {True: second[1], False: first[1]}
    for locator, is_second in (
        (cancel.nth(0), False),
        (cancel.nth(-1), True),
        (cancel.right_of(mail), True),
        (cancel.near(screen.text("Install")).below(cancel.nth(0)), True),
        (cancel.within((0, 0, 640, 40)), False),
        (screen.text("Cancel", (0, 40, 640, 40)), True),
        (cancel.above(cancel.nth(1)), False),
        (cancel.below(cancel.nth(0)), True),
        (cancel.left_of(screen.text("Install"), 100), True),
    ):
        found = api(locator.wait)
        assert found.point[1] == row[is_second], locator
        assert found.text == "Cancel"


def test_an_image_is_a_locator(api: Api, machine: Any, host: ActingMachine, tmp_path: Path) -> None:
    frame = api(machine.screen.frame)
    path = tmp_path / "ok.png"
    Needle.cut(frame, (33 * 8, 48, 56, 16), click=(33 * 8 + 3, 50)).save(path)
    image = machine.screen.image(path)
    api(image.double_click)
    assert host.log == [To(33 * 8 + 3, 50), *LEFT, *LEFT]
    cancel = machine.screen.image(frame[16:32, 21 * 8 : 27 * 8])
    assert api(cancel.count) == 2
    assert [found.rect[:2] for found in api(cancel.all)] == [(168, 16), (168, 48)]


def test_expectations(api: Api, machine: Any, host: ActingMachine) -> None:
    screen, expect = machine.screen, api.module.expect
    assert api(expect(screen.text("Install")).to_be_visible).rect == (264, 48, 56, 16)
    api(expect(screen.text("Cancel")).to_have_count, 2)
    api(expect(screen.text("Remove")).not_to_be_visible)
    assert api(screen.text("Cancel").count) == 2
    assert not api(screen.text("Remove").is_visible)
    later = Later()
    later(0.2, host.show, "", "Done")
    api(expect(screen.text("Install")).not_to_be_visible)
    later.join()
    with pytest.raises(ExpectationError, match="expecting the text 'Install' to be visible"):
        api(expect(screen.text("Install")).to_be_visible, timeout=0.1)
    with pytest.raises(
        AssertionError, match=r"the text 'Done' not to be visible.*on the screen once"
    ):
        api(expect(screen.text("Done")).not_to_be_visible, timeout=0.2)
    with pytest.raises(UsageError, match="whole number from 0"):
        api(expect(screen.text("Done")).to_have_count, -1)


def test_time_out_shows_what_was_there(api: Api, machine: Any, host: ActingMachine) -> None:
    with pytest.raises(ScreenTimeoutError, match=r"most similar: 'Install' at 264,48") as caught:
        api(machine.screen.text("Instell").click, timeout=0.1)
    assert "a click on the text 'Instell'" in str(caught.value)
    picture = io.BytesIO()
    caught.value.save(picture)
    pixels = np.asarray(Image.open(picture))
    assert (pixels == (255, 60, 60)).all(2).any(), "the most similar line has a red frame"
    assert host.log == []


def test_each_step_is_in_the_report(
    api: Api, machine: Any, host: ActingMachine, tmp_path: Path
) -> None:
    host.claim.paths.input_log.touch()
    page = tmp_path / "report.html"
    with pytest.raises(AmbiguousTargetError), report.recording(machine, page):
        api(machine.screen.text("Install").click)
        api(api.module.expect(machine.screen.text(re.compile("C.n"))).to_have_count, 2)
        api(machine.act, kju.acting.Chord("a"), first=0.05)
        api(machine.screen.text("Cancel").click)
    text = page.read_text()
    for words in (
        "a click on the text 'Install'", "found at 264, 48, 56x16",
        "a text that matches 'C.n' to be there 2 times",
        "the guest's answer to the keys a", "nothing changed",
        "2 places match the text 'Cancel'",
    ):  # fmt: skip
        assert words in text.replace("&#x27;", "'").replace("&#39;", "'"), words


def test_the_report_has_the_places_of_each_step(
    api: Api, machine: Any, host: ActingMachine
) -> None:
    host.claim.paths.input_log.touch()
    region = (0, 40, 640, 40)
    with report.recording(machine) as record:
        api(machine.screen.text("Install", region).click)
        with pytest.raises(ExpectationError):
            api(api.module.expect(machine.screen.text("Instal1")).to_be_visible, timeout=0.1)
        with pytest.raises(AmbiguousTargetError):
            api(machine.screen.text("Cancel").click)
    found, missed, broken = (e for e in record.story().events if e.kind != "pointer")
    assert (found.kind, found.rect, found.region) == ("found", (264, 48, 56, 16), region)
    assert (missed.kind, missed.rect) == ("missed", (264, 48, 56, 16)), "the most similar text"
    assert (16, 16, 40, 16) in missed.seen, "the texts that were there instead"
    assert broken.kind == "broken"
    assert [rect[:2] for rect in broken.seen] == [(168, 16), (168, 48)]


def test_a_viewer_may_look_but_not_click(api: Api, machine: Any, host: ActingMachine) -> None:
    viewer = api(api.module.attach, "acting", "view")
    assert api(viewer.screen.text("Install").is_visible)
    with pytest.raises(RoleError):
        api(viewer.screen.text("Install").click, timeout=SEEN)
    api(viewer.close)
