import json

from kju.surface import Mode, State
from kju.surface.formats import XR24
from kju.viewers.contract import Status
from kju.viewers.terminal.status_line import Rate, SurfaceStatus, fitted, status_parts

MODE = Mode(640, 480, 2560, XR24, 1)
LIVE = SurfaceStatus("it", MODE, 42, 12.34, "display1-map", State.LIVE)


def test_status_line_of_a_surface():
    assert LIVE.parts == ["it", "640x480", "version 42", "12 changes/s", "display1-map"]
    more = LIVE._replace(colour=(1, 2, 255), name="/a/b/c")
    assert more.parts == [
        "c", "640x480", "version 42", "12 changes/s", "display1-map", "mean #0102ff",
    ]  # fmt: skip
    gone = LIVE._replace(state=State.UNAVAILABLE, reason="the guest\x1b[2J rests")
    assert gone.parts[2:4] == ["unavailable", r"the guest\x1b[2J rests"]
    assert "no picture yet" in LIVE._replace(mode=MODE._replace(epoch=0)).parts


def test_status_line_of_a_viewer():
    status = Status("/a/b", size=(640, 480), locks=("caps",), source="vram")
    assert status_parts(status, 42, 12, 25) == [
        "b", "640x480", "Caps Lock", "version 42", "25 fps", "12 changes/s", "vram",
    ]  # fmt: skip
    ended = Status("b", message="has ended: x\x1b[2J", view_only=True)
    assert status_parts(ended, 1, 0, 0)[0] == r"b: has ended: x\x1b[2J"
    assert status_parts(ended, 1, 0, 0)[1] == "view only"


def test_a_rate_is_of_the_last_whole_second():
    rate = Rate()
    for _ in range(3):
        rate.add(10.2)
    rate.add(10.9, 4)
    assert rate.per_second(10.99) == 0
    assert rate.per_second(11.0) == rate.per_second(11.9) == 7
    assert rate.per_second(12.0) == 0
    rate.add(12.5)
    assert rate.per_second(14.0) == 0


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


def test_parts_that_do_not_fit_are_left_out():
    parts = ["name", "640x480", "version 1"]
    assert fitted(parts, "q quits", 40) == " name │ 640x480 │ version 1".ljust(31) + " q quits "
    assert fitted(parts, "q quits", 34) == " name │ 640x480".ljust(25) + " q quits "
    assert fitted(["name", "very long indeed", "ab"], "q", 16) == " name │ ab    q "
    assert fitted(parts, "q quits", 14) == " name q quits "
    assert fitted(parts, "q quits", 4) == " nam"
    long = fitted(["name: a reason that is too long"], "q quits", 24)
    assert long == " name: a reaso… q quits "
    for width in range(1, 60):
        assert len(fitted(parts, "q quits", width)) <= width
