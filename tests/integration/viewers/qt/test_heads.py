"""Several screens: a window each over several displays, or side by side in one window."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.fake_host import fake_host

pytest.importorskip("PySide6", reason="PySide6 is missing: tools/setup desktop")

DISPLAYS = [
    {"name": "left", "x": 0, "y": 0, "width": 1000, "height": 800},
    {"name": "right", "x": 1000, "y": 0, "width": 1200, "height": 900, "dpr": 2},
]


@pytest.fixture
def host(runtime_folder: None) -> Iterator[object]:
    with fake_host() as host:
        host.machine.info["consoles"] = [{"no_resize": ""}]
        host.machine.producer.set_mode(320, 200)
        yield host


def run_scene(folder: Path, body: str) -> str:
    """Run statements in a process whose displays are `DISPLAYS`: Qt reads them once."""
    config = folder / "displays.json"
    config.write_text(json.dumps({"synchronousWindowSystemEvents": False, "screens": DISPLAYS}))
    script = f"from support.heads_scene import *\n{body}\nend()\n"
    environment = os.environ | {
        "QT_QPA_PLATFORM": f"offscreen:configfile={config}",
        "PYTHONPATH": os.pathsep.join(sys.path),
        "XDG_STATE_HOME": str(folder),
    }
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True,
        timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_full_screen_spreads_over_the_displays_and_back(host, tmp_path: Path) -> None:
    run_scene(
        tmp_path,
        """
windows = HeadWindows(factory, 3)
windows.show_all()
until(lambda: all(w.view.viewer.picture.mode for w in windows.windows))
windows.windows[1].set_full_screen(True)
until(lambda: sum(w.isFullScreen() for w in windows.windows) == 2)
places = [w.screen().name() for w in windows.windows if w.isFullScreen()]
assert sorted(places) == ["left", "right"], places
assert not windows.windows[2].isFullScreen(), "there is no third display"
windows.windows[0].set_full_screen(False)
until(lambda: not any(w.isFullScreen() for w in windows.windows))
""",
    )


def test_menu_opens_the_windows_of_other_screens(host, tmp_path: Path) -> None:
    run_scene(
        tmp_path,
        """
windows = HeadWindows(factory, 2)
windows.show(0)
actions = actions_of(windows.windows[0])
actions["Screen 2"].trigger()
until(lambda: len(windows.windows) == 2 and windows.windows[1].isVisible())
second = windows.windows[1]
actions["Screen 2"].trigger()
assert windows.windows[1] is second, "at most one for each screen"
second.close()
run()
assert len(windows.windows) == 1
actions["A window for each screen"].trigger()
until(lambda: len(windows.windows) == 2 and windows.windows[1] is not second)
""",
    )


def test_menu_shows_the_screens_side_by_side_and_apart_again(host, tmp_path: Path) -> None:
    run_scene(
        tmp_path,
        """
windows, chosen = HeadWindows(factory, 3), []
windows.chosen.connect(lambda screens: chosen.append(str(screens)))
windows.show_all()
first, second = windows.windows[0], windows.windows[1]
actions_of(second)["Side by side in one window"].trigger()
until(lambda: windows.row and len(windows.windows) == 1)
row = windows.row
assert row.machine_window is first and len(row.views) == 3
until(lambda: all(view.viewer.picture.placement for view in row.views))
other = row.views[1]
actions_of(first)["Screen 2"].trigger()
until(lambda: other.hasFocus())
assert windows.row is row and len(windows.windows) == 1
actions_of(first)["This screen only"].trigger()
run()
assert windows.row is None and windows.windows == [first]
assert not other.viewer._connection._open, "its view has ended"
assert first.view.isVisible() and first.view.viewer.picture.placement
actions_of(first)["A window for each screen"].trigger()
until(lambda: len(windows.windows) == 3)
assert chosen == ["side-by-side", "one", "windows"]
windows.set_count(1)
assert "Screen 2" not in actions_of(first)
windows.show_side_by_side()
assert windows.row is None, "one screen has no row"
""",
    )


def test_screens_side_by_side_have_their_sizes(host, tmp_path: Path) -> None:
    run_scene(
        tmp_path,
        """
window = make_window(0)
other = make_view(0)
row = HeadsRow(window, [other])
window.show()
until(lambda: all(v.viewer.picture.placement for v in row.views))
until(lambda: [v.viewer.backend.view_size() for v in row.views] == [(320, 200)] * 2)
assert [v.viewer.picture.placement.scale for v in row.views] == [1.0, 1.0]
window.resize(1000, 500)
until(lambda: all(v.viewer.picture.placement.scale > 1.4 for v in row.views))
window.close()
until(lambda: not other.viewer._connection._open)
""",
    )


def test_menu_strip_and_tools_are_for_the_screen_with_the_focus(host, tmp_path: Path) -> None:
    run_scene(
        tmp_path,
        """
from kju.viewers.contract import ViewCommand
from kju.viewers.geometry import Scaling
from kju.viewers.input.grab import GrabPolicy
from kju.viewers.preferences import Preferences, shared_preferences
from kju.viewers.tools.picking import Purpose
shared_preferences().change(Preferences(GrabPolicy.FULL_SCREEN))
windows = HeadWindows(factory, 2)
windows.show_side_by_side()
row, window = windows.row, windows.windows[0]
until(lambda: all(view.viewer.picture.placement for view in row.views))
first, other = row.views
other.viewer.input.full_screen(True)
assert other.viewer.input.grabbed, "the policy is for each view"
other.viewer.input.full_screen(False)
row.focus(1)
until(lambda: window.console.view is other)
actions = actions_of(window)
actions["Fit, never enlarged"].trigger()
assert (first.viewer.scaling, other.viewer.scaling) == (Scaling.FIT, Scaling.SHRINK)
window.command(ViewCommand.LOUPE)
assert window.tools.overlay.parentWidget() is other.viewport()
window.command(ViewCommand.LOUPE)
other.viewer.set_view_only(True)
until(lambda: "view only" in window._strip._left.whole)
row.focus(0)
until(lambda: window.console.view is first)
assert "view only" not in window._strip._left.whole
row.focus(1)
until(lambda: "view only" in window._strip._left.whole)
windows.show_only(0)
assert window.console.views == [first] and window.console.view is first
assert "view only" not in window._strip._left.whole
""",
    )
