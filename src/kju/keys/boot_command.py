"""Packer's boot commands: text with keys, held keys and pauses in angle brackets.

    <wait5><esc><wait>auto url=http://10.0.2.2/preseed.cfg<enter>

| written | meaning |
|---|---|
| `<enter>`, `<f10>`, `<leftCtrl>` | press and release a key, by any of its `names` |
| `<leftShiftOn>`, `<leftShiftOff>` | press a key and hold it; release it |
| `<wait>`, `<wait5>`, `<wait1m30s>`, `<wait500ms>` | wait 1 s, 5 s, 90 s, half a second |
| `<lt>` | the character `<`, which Packer cannot write |

All other text is typed. An unknown name in angle brackets is an error: for `<file>` write
`<lt>file>`. Packer's template variables (`{{ .HTTPIP }}`) are not replaced.

Source:
    https://developer.hashicorp.com/packer/docs/community-tools#boot-command
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from ..errors import UsageError
from .names import find, number

#: A single character is not a name: `a<b>c` is text.
_TAG = re.compile(r"<[A-Za-z0-9][A-Za-z0-9_.]+>")
_WAIT = re.compile(r"wait(?P<rest>[\d.]*|([\d.]+(ns|us|ms|s|m|h))+)", re.IGNORECASE)
_PART = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|ms|s|m|h)")
_HELD = re.compile(r"(?P<key>.+?)(?P<how>on|off)", re.IGNORECASE)
_UNITS = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
#: Seconds. A longer pause is most likely a mistake in its unit.
_LONGEST_WAIT = 24 * 3600.0


class BootText(NamedTuple):
    """Characters to type."""

    text: str


class PressKey(NamedTuple):
    """A key to press and release."""

    key: int


class HoldKey(NamedTuple):
    """A key to press, or to release."""

    key: int
    down: bool


class BootPause(NamedTuple):
    """A pause.

    Attributes:
        seconds: Its length.
    """

    seconds: float


Part = BootText | PressKey | HoldKey | BootPause


def parse_boot_command(command: str) -> list[Part]:
    """Split a boot command into its parts.

    Raises:
        UsageError: A name in angle brackets is unknown, or a pause is malformed.
    """
    found: list[Part] = []
    for part in _parts(command):
        if isinstance(part, BootText) and found and isinstance(found[-1], BootText):
            found[-1] = BootText(found[-1].text + part.text)
        else:
            found.append(part)
    return found


def _parts(command: str) -> Iterator[Part]:
    at = 0
    for tag in _TAG.finditer(command):
        if tag.start() > at:
            yield BootText(command[at : tag.start()])
        yield _special(tag[0][1:-1])
        at = tag.end()
    if at < len(command):
        yield BootText(command[at:])


def _special(word: str) -> Part:
    if word.lower() == "lt":
        return BootText("<")
    if wait := _WAIT.fullmatch(word):
        return BootPause(_seconds(wait["rest"], word))
    key = find(word)
    if key is not None:
        return PressKey(key)
    held = _HELD.fullmatch(word)
    if held and (key := find(held["key"])) is not None:
        return HoldKey(key, held["how"].lower() == "on")
    try:
        return PressKey(number(word))
    except UsageError as error:
        raise UsageError(f"<{word}> in a boot command: {error}; write <lt> to type a <") from None


def _seconds(length: str, word: str) -> float:
    try:
        parts = _PART.findall(length.lower())
        seconds = sum(float(n) * _UNITS[u] for n, u in parts) if parts else float(length or 1)
    except ValueError:
        message = f"<{word}> in a boot command is not a valid pause; write one like <wait1m30s>"
        raise UsageError(message) from None
    if seconds > _LONGEST_WAIT:
        raise UsageError(f"<{word}> in a boot command is longer than a day")
    return seconds
