"""Typing as fast as the guest takes it: what arrives is what was typed, whatever reads it.

And what happens where nobody reads, or who types is killed.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import guests, typed_guest
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


@contextlib.contextmanager
def busy_computer() -> Iterator[None]:
    """As many processes as processors that do nothing but turn."""
    spin = [sys.executable, "-c", "while True: pass"]
    processes = [subprocess.Popen(spin) for _ in range(os.cpu_count() or 1)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def check(guest: Typed, length: int) -> None:
    """All of a text arrives, nothing twice, and in its order."""
    text = sample(length)
    guest.begin()
    guest.keyboard.type(text)
    assert guest.arrived() == text


def test_a_console_gets_every_character(shell: Typed) -> None:
    check(shell, LONG)


def check_beside_delayed_keys(guest: Typed) -> None:
    """All of a text arrives while QEMU delays the keys of another client."""
    text = sample(80)
    guest.begin()
    # As another client's key, in which kju has no part: QEMU lets go of it half a second later.
    held = [{"type": "qcode", "data": "num_lock"}]
    guest.machine.qmp("send-key", keys=held, **{"hold-time": 500})
    guest.keyboard.type(text)
    assert guest.arrived() == text


def test_a_console_gets_every_character_beside_delayed_keys(shell: Typed) -> None:
    check_beside_delayed_keys(shell)


def test_what_a_killed_client_held_comes_up(shell: Typed) -> None:
    shell.begin()
    name = shell.machine.name
    program = subprocess.Popen([sys.executable, "-c", textwrap.dedent(CAPITALS), name])
    try:
        until(lambda: shell.machine.info()["consoles"][0]["keys_held"], 30, "it types")
    finally:
        program.kill()
        program.wait()
    until(lambda: not shell.machine.info()["consoles"][0]["keys_held"], 30, "what it held is up")
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
def test_another_keyboard_loses_nothing(
    shared_runtime_folder: None, tmp_path: Path, keyboard: str, length: int
) -> None:
    with typed_guest.shell(tmp_path, keyboard) as guest:
        check(guest, length)
        check_beside_delayed_keys(guest)


def test_a_text_field_of_a_busy_computer_gets_every_character(
    shared_runtime_folder: None, tmp_path: Path
) -> None:
    with typed_guest.field(tmp_path) as guest, busy_computer():
        check(guest, LONG)


@pytest.mark.parametrize("keyboard", ["ps2", "usb"])
def test_a_guest_that_takes_nothing_is_an_error(
    shared_runtime_folder: None, tmp_path: Path, keyboard: str
) -> None:
    with kju.launch(args=guests.asleep(tmp_path, keyboard), name="asleep") as machine:
        with pytest.raises(InputError, match=f"{keyboard}.*nothing in it reads this device yet"):
            machine.keyboard.type("more than the queue of a keyboard holds")
        assert machine.info()["consoles"][0]["keys_held"] == []


def test_a_paused_guest_takes_nothing_and_then_what_is_due(shell: Typed) -> None:
    shell.begin()
    name = shell.machine.name
    with kju.attach(name) as other:
        other.keyboard.press("shift")
        shell.monitor.execute("stop")
        until(lambda: shell.machine.info()["state"] == "paused", 10, "the pause")
        for text in ("a", "more than the queue of a keyboard holds"):
            with pytest.raises(InputError, match="paused and takes no input: resume it"):
                shell.keyboard.type(text)
        with pytest.raises(InputError, match="paused"):
            shell.keyboard.press("b")
    shell.monitor.execute("cont")
    until(lambda: not shell.machine.info()["consoles"][0]["keys_held"], 10, "what was held is up")
    shell.keyboard.type("lower case\n")
    assert shell.arrived() == "lower case\n"
