import json

import numpy as np

from kju.surface import Mode, State
from kju.surface.formats import XR24
from kju.viewers.terminal.status import Status, fitted, mean_colour

MODE = Mode(640, 480, 2560, XR24, 1)
LIVE = Status("it", MODE, 42, 12.34, "display1-map", State.LIVE)


def test_words():
    assert LIVE.parts == ["it", "640x480", "version 42", "12 changes/s", "display1-map"]
    more = LIVE._replace(drawn=25.0, colour=(1, 2, 255), name="/a/b/c")
    assert more.parts == [
        "c", "640x480", "version 42", "25 fps", "12 changes/s", "display1-map", "mean #0102ff",
    ]  # fmt: skip
    gone = LIVE._replace(state=State.UNAVAILABLE, reason="the guest\x1b[2J rests")
    assert gone.parts[2:4] == ["unavailable", r"the guest\x1b[2J rests"]
    assert "no picture yet" in LIVE._replace(mode=MODE._replace(epoch=0)).parts


def test_data_is_for_json():
    assert json.loads(json.dumps(LIVE.data)) == {
        "name": "it",
        "width": 640,
        "height": 480,
        "version": 42,
        "changes_per_second": 12.3,
        "source": "display1-map",
        "state": "live",
        "reason": "",
        "mean_rgb": None,
    }


def test_what_does_not_fit_is_left_out():
    parts = ["name", "640x480", "version 1"]
    assert fitted(parts, "q quits", 40) == " name │ 640x480 │ version 1".ljust(31) + " q quits "
    assert fitted(parts, "q quits", 34) == " name │ 640x480".ljust(25) + " q quits "
    assert fitted(["name", "very long indeed", "ab"], "q", 16) == " name │ ab    q "
    assert fitted(parts, "q quits", 14) == " name q quits "
    assert fitted(parts, "q quits", 4) == " nam"
    for width in range(1, 60):
        assert len(fitted(parts, "q quits", width)) <= width


def test_the_mean_is_of_light():
    image = np.zeros((2, 2, 4), np.uint8)
    image[0, 0] = (40, 80, 120, 0)
    assert mean_colour(image) == (60, 40, 20)
