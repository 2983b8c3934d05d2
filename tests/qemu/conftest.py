"""For the tests with a real QEMU."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support import accelerator
from support.paint_guest import MODE, Guest, booted
from support.view_window import managed_display
from support.wait import until

from kju.client.targets import running_names


@pytest.fixture(scope="module")
def managed() -> Iterator[str]:
    """Start a display with a window manager for the tests of a file."""
    with managed_display() as display:
        yield display


@pytest.fixture(scope="module")
def shared_runtime_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Give the tests of a file a runtime folder of their own; fail if a machine is left there."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("run")
        patch.setenv("XDG_RUNTIME_DIR", str(folder))
        accelerator.keep_answer(folder)
        patch.setenv("XDG_STATE_HOME", str(folder / "state"))
        patch.setenv("XDG_DATA_HOME", str(folder / "data"))
        yield
        assert running_names() == []


@pytest.fixture(scope="module")
def shared(
    shared_runtime_folder: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Guest]:
    """Boot one machine for the tests of a file, with a view of its screen."""
    with booted(tmp_path_factory.mktemp("vga"), "VGA,id=card") as guest:
        yield guest


@pytest.fixture
def guest(shared: Guest) -> Guest:
    """Return the shared machine in a mode whose source is the video memory."""
    shared.tell("order 0x1e1e1e1e")
    shared.show(*MODE)
    until(lambda: shared.seen.mode[:2] == MODE, "the mode")
    shared.becomes("vram")
    return shared
