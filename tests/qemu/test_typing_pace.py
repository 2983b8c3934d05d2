"""Typing at the guest's pace: the text arrives whole and in order, whatever reads it.

Also: guests that do not read, and typing clients that are killed.
"""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import guests, typed_guest
from support.load import busy_computer
from support.typed_guest import Typed, sample
from support.wait import until

import kju
from kju.errors import InputError

pytestmark = pytest.mark.qemu

#: Characters: some seconds of typing. A USB keyboard takes 60 a second.
LONG, SHORT = 980, 140
#: Types in capitals until it is ended.
CAPITALS = """
    import sys, kju
    machine = kju.attach(sys.argv[1])
    with machine.keyboard.hold("shift"):
        while True:
            machine.keyboard.type("held down\\n" * 100)
"""


@pytest.fixture(scope="module")
def shell(shared_runtime_folder: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Typed]:
    """One with a PS/2 keyboard."""
    with typed_guest.shell(tmp_path_factory.mktemp("ps2")) as guest:
        yield guest


def check(guest: Typed, length: int) -> None:
    """Check that a text arrives whole, once, and in order."""
    text = sample(length)
    guest.begin()
    guest.keyboard.type(text)
    assert guest.arrived() == text


def test_console_receives_every_character(shell: Typed) -> None:
    check(shell, LONG)


def check_beside_delayed_keys(guest: Typed) -> None:
    """Check that a text arrives whole while QEMU delays the keys of another client."""
    text = sample(80)
    guest.begin()
    # A key that does not pass through kju: QEMU releases it half a second later.
    held = [{"type": "qcode", "data": "num_lock"}]
    guest.machine.qmp("send-key", keys=held, **{"hold-time": 500})
    guest.keyboard.type(text)
    assert guest.arrived() == text


def test_console_receives_every_character_beside_delayed_keys(shell: Typed) -> None:
    check_beside_delayed_keys(shell)


def test_keys_of_a_killed_client_are_released(shell: Typed) -> None:
    shell.begin()
    name = shell.machine.name
    program = subprocess.Popen([sys.executable, "-c", textwrap.dedent(CAPITALS), name])
    try:
        until(lambda: shell.machine.info()["consoles"][0]["keys_held"], "it types")
    finally:
        program.kill()
        program.wait()
    until(lambda: not shell.machine.info()["consoles"][0]["keys_held"], "its keys are released")
    shell.keyboard.type("\nlower case\n")
    assert shell.arrived().endswith("\nlower case\n")


@pytest.mark.parametrize("old", [False, True], ids=["installed", "7.2"])
def test_a_second_console_gets_every_character_beside_delayed_keys(
    shared_runtime_folder: None, tmp_path: Path, old: bool
) -> None:
    display = ("-device", "secondary-vga,id=second")
    qemu = guests.qemu72() if old else None
    with typed_guest.shell(tmp_path, display=display, qemu=qemu) as guest:
        guest.keyboard = guest.machine.screens[1].keyboard
        check(guest, SHORT)
        check_beside_delayed_keys(guest)


@pytest.mark.parametrize(
    ("keyboard", "length"), [("virtio", LONG), ("usb", SHORT), ("uhci", SHORT)]
)
def test_other_keyboards_lose_no_character(
    shared_runtime_folder: None, tmp_path: Path, keyboard: str, length: int
) -> None:
    with typed_guest.shell(tmp_path, keyboard) as guest:
        check(guest, length)
        check_beside_delayed_keys(guest)


def test_text_field_on_a_busy_computer_receives_every_character(
    shared_runtime_folder: None, tmp_path: Path
) -> None:
    with typed_guest.field(tmp_path) as guest, busy_computer(1):
        check(guest, LONG)


@pytest.mark.parametrize("keyboard", ["ps2", "usb"])
def test_guest_that_reads_no_keys_is_an_error(
    shared_runtime_folder: None, tmp_path: Path, keyboard: str
) -> None:
    with kju.launch(args=guests.asleep(tmp_path, keyboard), name="asleep") as machine:
        with pytest.raises(InputError, match=f"{keyboard}.*nothing in it reads this device yet"):
            machine.keyboard.type("more than the queue of a keyboard holds")
        assert machine.info()["consoles"][0]["keys_held"] == []


def test_paused_guest_rejects_typing_and_gets_due_releases(shell: Typed) -> None:
    shell.begin()
    name = shell.machine.name
    with kju.attach(name) as other:
        other.keyboard.press("shift")
        other.qmp("query-status")  # answered after QEMU has taken the key
        shell.monitor.execute("stop")
        until(lambda: shell.machine.info()["state"] == "paused", "the pause")
        for text in ("a", "more than the queue of a keyboard holds"):
            with pytest.raises(InputError, match="paused and takes no input: resume it"):
                shell.keyboard.type(text)
        with pytest.raises(InputError, match="paused"):
            shell.keyboard.press("b")
    shell.monitor.execute("cont")
    until(
        lambda: not shell.machine.info()["consoles"][0]["keys_held"],
        "the held keys are released",
    )
    shell.keyboard.type("lower case\n")
    assert shell.arrived() == "lower case\n"
