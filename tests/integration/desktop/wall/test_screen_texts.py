"""Text on the screens of real machines."""

from __future__ import annotations

import pytest
from support.posts import Posts

from kju.desktop.machines.entry import MachineEntry, MachineKey, MachineState
from kju.desktop.wall.screen_texts import ScreenTexts

pytestmark = pytest.mark.usefixtures("runtime_folder")


def test_machine_that_has_gone_has_no_text():
    posts, calls = Posts(), []
    texts = ScreenTexts(posts.post, lambda: calls.append(1))
    key = MachineKey("", "gone")
    texts.read([MachineEntry(key, MachineState.RUNNING), MachineEntry(key, MachineState.OFF)])
    posts.until(lambda: key not in texts._reading)
    assert texts.text(key) == ""
    texts.close()
