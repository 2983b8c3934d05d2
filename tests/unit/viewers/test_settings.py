"""What is remembered of a machine's windows."""

from __future__ import annotations

import pytest

from kju.viewers import settings
from kju.viewers.geometry import Scaling
from kju.viewers.settings import (
    MAX_FILE,
    MachineSettings,
    ShownScreens,
    WindowSettings,
    load,
    update,
)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return tmp_path / "kju" / "views"


def test_settings_are_remembered_per_machine_and_screen(folder):
    window = WindowSettings((-5, 40), (800, 600), True, Scaling.WIDTH, smooth=False, sticky=True)
    update("web", lambda known: known.windows.update({0: window}))
    update("web", lambda known: known.windows.update({1: WindowSettings(scaling=Scaling.ONE)}))
    assert load("web").window(0) == window
    assert load("web").window(1).scaling is Scaling.ONE
    assert load("web").window(2) == WindowSettings()
    assert load("other") == MachineSettings()
    assert [path.name for path in folder.iterdir()] == ["web.json"]


@pytest.mark.parametrize(
    "content",
    [
        b"", b"{", b"[]", b"null", b'{"windows": 3}', b"\xff\xfe", b"x" * (MAX_FILE + 1),
        b'{"windows": {"0": {"scaling": "huge"}}}',
        b'{"windows": {"0": {"size": [0, 600]}}}',
        b'{"windows": {"0": {"place": [1e999, 0]}}}',
    ],
)  # fmt: skip
def test_broken_file_is_ignored_and_replaced(folder, content):
    folder.mkdir(parents=True)
    (folder / "web.json").write_bytes(content)
    assert load("web") == MachineSettings()
    update("web", lambda known: known.windows.update({3: WindowSettings(sticky=True)}))
    assert load("web").window(3).sticky


def test_file_of_a_later_version_is_read_as_far_as_it_is_known(folder):
    folder.mkdir(parents=True)
    (folder / "web.json").write_text(
        '{"windows": {"3": {"sticky": true, "depth": 3}}, "shape": "round"}'
    )
    assert load("web").window(3).sticky


@pytest.mark.parametrize("name", ["../web", "a/b", "", "x" * 65, "zenoh:lab/web"])
def test_name_that_is_no_machines_is_not_a_path(folder, name):
    update(name, lambda known: known.windows.update({3: WindowSettings(sticky=True)}))
    assert load(name) == MachineSettings()
    assert not folder.exists()


def test_reason_is_returned_if_the_folder_cannot_be_written(folder):
    folder.parent.mkdir(parents=True)
    folder.write_text("a file in its place")
    reason = update("web", lambda known: known.windows.update({3: WindowSettings(sticky=True)}))
    assert "the window settings of web were not saved: " in reason
    assert str(folder) in reason
    reasons: list[str] = []
    settings.update_soon("web", lambda known: None, reasons.append).join()
    assert reasons == [reason]
    assert load("web") == MachineSettings()


def test_link_in_place_of_the_file_is_not_followed(folder, tmp_path):
    folder.mkdir(parents=True)
    other = tmp_path / "other.json"
    other.write_text('{"windows": {"3": {"sticky": true}}}')
    (folder / "web.json").symlink_to(other)
    assert load("web") == MachineSettings()


def test_two_threads_change_different_parts():
    def add(at):
        return lambda known: known.windows.update({at: WindowSettings()})

    threads = [settings.update_soon("web", add(at), pytest.fail) for at in range(8)]
    for thread in threads:
        thread.join()
    assert sorted(load("web").windows) == list(range(8))


def test_window_of_a_removed_machine_writes_nothing_more(folder):
    update("web", lambda known: setattr(known, "layout", "de"))
    (folder / "web.json").unlink()  # as the removal of the machine does
    settings.forget("web")
    update("web", lambda known: setattr(known, "layout", "fr"))
    assert not (folder / "web.json").exists()
    # Another machine of that name has a window.
    assert load("web") == MachineSettings()
    update("web", lambda known: setattr(known, "layout", "fr"))
    assert load("web").layout == "fr"


def test_screens_are_remembered(folder):
    update("web", lambda known: setattr(known, "screens", ShownScreens.SIDE_BY_SIDE))
    assert load("web").screens is ShownScreens.SIDE_BY_SIDE
    (folder / "web.json").write_text('{"screens": "all"}')
    assert load("web") == MachineSettings()
