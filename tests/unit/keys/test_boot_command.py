"""Parse Packer's boot commands."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kju.errors import UsageError
from kju.keys import NUMBERS
from kju.keys.boot_command import BootPause, BootText, HoldKey, PressKey, parse_boot_command

ENTER, ESC, CTRL, SHIFT = NUMBERS["ret"], NUMBERS["esc"], NUMBERS["ctrl"], NUMBERS["shift_r"]


def test_boot_command_of_the_debian_installer() -> None:
    command = "<esc><wait5>auto url=http://10.0.2.2:8000/p.cfg <enter><wait>"
    assert parse_boot_command(command) == [
        PressKey(ESC),
        BootPause(5.0),
        BootText("auto url=http://10.0.2.2:8000/p.cfg "),
        PressKey(ENTER),
        BootPause(1.0),
    ]


@pytest.mark.parametrize(
    ("tag", "seconds"),
    [
        ("<wait>", 1),
        ("<wait5>", 5),
        ("<wait10>", 10),
        ("<wait1m30s>", 90),
        ("<wait1h2m3s>", 3723),
        ("<wait500ms>", 0.5),
        ("<wait1.5s>", 1.5),
        ("<WAIT2S>", 2),
    ],
)
def test_a_pause_has_its_length_in_seconds(tag: str, seconds: float) -> None:
    assert parse_boot_command(tag) == [BootPause(pytest.approx(seconds))]


def test_keys_are_held_until_they_are_released() -> None:
    assert parse_boot_command("<leftCtrlOn>c<leftCtrlOff><aOn><rightShiftOFF><1On>") == [
        HoldKey(CTRL, down=True),
        BootText("c"),
        HoldKey(CTRL, down=False),
        HoldKey(NUMBERS["a"], down=True),
        HoldKey(SHIFT, down=False),
        HoldKey(NUMBERS["1"], down=True),
    ]


@pytest.mark.parametrize("name", ["bs", "del", "f12", "pageUp", "spacebar", "menu", "leftSuper"])
def test_packers_special_keys_are_pressed(name: str) -> None:
    (part,) = parse_boot_command(f"<{name}>")
    assert isinstance(part, PressKey)


def test_text_outside_of_brackets_is_typed() -> None:
    assert parse_boot_command("a < b > c <> <a> 2<lt>3\n") == [BootText("a < b > c <> <a> 2<3\n")]


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("<entr>", "did you mean enter"),
        ("<wait5x>", "no key is named"),
        ("<wait1..5>", "not a valid pause"),
        ("<wait99h>", "longer than a day"),
    ],
)
def test_a_misspelt_command_is_refused(command: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        parse_boot_command(command)


@given(st.text(alphabet="<>waitOn12.smh leftCtrl\n"))
def test_any_text_is_a_command_or_refused(command: str) -> None:
    try:
        parts = parse_boot_command(command)
    except UsageError:
        return
    assert all(part.seconds >= 0 for part in parts if isinstance(part, BootPause))
    assert all(part.text for part in parts if isinstance(part, BootText))


def test_text_in_angle_brackets_that_names_no_key_is_refused() -> None:
    with pytest.raises(UsageError, match=r"<file> in a boot command: .* write <lt> to type a <"):
        parse_boot_command("cat <file>")
    assert parse_boot_command("cat <lt>file>") == [BootText("cat <file>")]
