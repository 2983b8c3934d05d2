"""`Computer` against a scripted screen: both halves of the API."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.acting_host import ActingMachine, acting_host, animated
from support.halves import Api

import kju.agents
import kju.agents.aio
import kju.aio
from kju import keys
from kju.agents import ActionError, Computer
from kju.errors import GeometryError, UsageError
from kju.protocol.values import Button, To, TurnWheel
from kju.surface.geometry import Rect

pytestmark = pytest.mark.usefixtures("runtime_folder")
QUICK = {"first": 0.05, "still": 0.05}
LEFT = [Button(0, True), Button(0, False)]
ENTER = keys.number("enter")


@pytest.fixture
def host(runtime_folder: Path) -> Iterator[ActingMachine]:
    with acting_host() as machine:
        machine.show("", "  [ Install ]   [ Cancel ]")
        yield machine


@pytest.fixture
def screen(api: Api, host: ActingMachine) -> Iterator[Any]:
    machine = api(api.module.attach, "acting")
    yield machine.screen
    api(machine.close)


def computer(api: Api, screen: Any, *args: Any, **how: Any) -> Any:
    kind = Computer if api.module is kju else kju.agents.aio.Computer
    return kind(screen, *args, **{**QUICK, **how})


def test_an_action_returns_the_screen_after_it(api: Api, screen: Any, host: ActingMachine) -> None:
    tool = computer(api, screen, first=20)
    assert tool.tool["display_width_px"] == 640
    assert api(tool.do, {"action": "screenshot"}).picture.pixels.shape == (400, 640, 3)
    host.after = lambda request: host.fill((100, 100, 50, 20), 99)
    done = api(tool.do, {"action": "left_click", "coordinate": [40, 24]})
    assert host.log == [To(40, 24), *LEFT]
    assert done.text.startswith("changed in 50x20 at 100,100 after")
    assert done.answer.rects == (Rect(100, 100, 50, 20),)
    assert done.picture.pixels[100, 100].tolist() == [99] * 3
    assert done.picture.view.mark.version == host.producer.version == done.answer.version


def test_points_are_pixels_of_the_last_picture(api: Api, screen: Any, host: ActingMachine) -> None:
    tool = computer(api, screen, size=(320, 320))
    assert (tool.tool["display_width_px"], tool.tool["display_height_px"]) == (320, 200)
    done = api(tool.do, {"action": "left_click", "coordinate": [20, 12]})
    assert done.picture.pixels.shape == (200, 320, 3)
    assert done.text == "nothing changed"
    api(tool.screenshot, (100, 100, 160, 100))
    api(tool.do, {"action": "mouse_move", "coordinate": [0, 99]})
    assert host.log == [To(41, 25), *LEFT, To(100, 199)]
    assert api(tool.do, {"action": "cursor_position"}).text == "X=50,Y=99"


def test_zoom_does_not_change_the_points(api: Api, screen: Any, host: ActingMachine) -> None:
    tool = computer(api, screen, size=(320, 320))
    zoomed = api(tool.do, {"action": "zoom", "region": [0, 0, 80, 50]})
    assert zoomed.picture.pixels.shape == (100, 160, 3), "every pixel of the part"
    assert zoomed.answer is None
    api(tool.do, {"action": "mouse_move", "coordinate": [319, 199]})
    assert host.log == [To(639, 399)]


def test_a_list_of_actions_is_checked_before_any_is_sent(
    api: Api, screen: Any, host: ActingMachine
) -> None:
    tool = computer(api, screen, "openai")
    click = {"type": "click", "button": "left", "x": 1, "y": 2}
    with pytest.raises(GeometryError, match="the picture is 640x400"):
        api(tool.do, [click, {**click, "x": 640}])
    for bad in ([], [click] * 101, ["click"]):
        with pytest.raises(ActionError, match="1 to 100 actions"):
            api(tool.do, bad)
    assert host.log == []
    api(tool.do, [click, {"type": "keypress", "keys": ["ENTER"]}, {"type": "screenshot"}])
    assert host.log == [To(1, 2), *LEFT, (ENTER, True), (ENTER, False)]


def test_gym_anything_drives_a_screen(api: Api, screen: Any, host: ActingMachine) -> None:
    tool = computer(api, screen, "gym-anything", normalised=True)
    done = api(tool.do, {"mouse": {"move": [500, 500], "scroll": 2}})
    assert host.log == [To(320, 200), TurnWheel(2, 0)]
    assert done.picture.view.normalised
    assert api(tool.do, {}).text == "the screen"


def test_points_of_another_mode_are_refused(api: Api, screen: Any, host: ActingMachine) -> None:
    tool = computer(api, screen)
    api(tool.screenshot)
    host.producer.set_mode(320, 200)
    with pytest.raises(ActionError, match=r"the screen is 320x200 now.*of 640x400: take a"):
        api(tool.do, {"action": "left_click", "coordinate": [1, 1]})
    api(tool.screenshot)
    api(tool.do, {"action": "left_click", "coordinate": [1, 1]})
    assert host.log == [To(1, 1), *LEFT]


def test_a_screen_that_never_settles_says_so(api: Api, screen: Any, host: ActingMachine) -> None:
    tool = computer(api, screen, first=20, still=20, limit=0.3)
    with animated(host):
        done = api(tool.do, {"action": "key", "text": "Return"})
    assert "still changing at the limit" in done.text and not done.answer.settled


def test_labels_are_clicked_by_number(api: Api, screen: Any, host: ActingMachine) -> None:
    tool = computer(api, screen)
    with pytest.raises(ActionError, match="ask for labels first"):
        api(tool.click_label, 1)
    labels = api(tool.labels)
    by_text = {box.text: box for box in labels.boxes}
    install = by_text["Install"]
    before = api(screen.frame, pixels="rgb")
    assert (labels.picture.pixels != np.asarray(before)).any()
    version = labels.mark.version
    api(tool.click_label, install.number, version=version, count=2)
    x, y = host.log[0].x, host.log[0].y  # type: ignore[attr-defined]
    assert Rect(32, 16, 56, 16).contains(Rect(x, y, 1, 1))
    assert host.log[1:] == [*LEFT, *LEFT]
    with pytest.raises(ActionError, match=f"of version {version}, not {version - 1}"):
        api(tool.click_label, install.number, version=version - 1)
    with pytest.raises(UsageError, match="no label 99"):
        api(tool.click_label, 99)
    host.show("", "  [ Remove! ]   [ Cancel ]")
    with pytest.raises(UsageError, match="has changed at label"):
        api(tool.click_label, install.number)
    assert len(host.log) == 5


def test_an_unknown_dialect_is_refused(api: Api, screen: Any) -> None:
    with pytest.raises(UsageError, match="unknown dialect 'x': choose computer_20250124"):
        computer(api, screen, "x")
