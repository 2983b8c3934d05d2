"""Chords that a window offers to send to the guest, because the desktop takes them. I/O-free."""

from __future__ import annotations

from typing import NamedTuple

from ...keys import parse_chord
from .grab import chord_label


class KeyItem(NamedTuple):
    """One chord to send.

    Attributes:
        label: As a user reads it.
        chord: As `kju key` takes it.
    """

    label: str
    chord: str

    @property
    def numbers(self) -> tuple[int, ...]:
        """The numbers of its keys."""
        return tuple(parse_chord(self.chord))


def _items(*chords: str) -> tuple[KeyItem, ...]:
    return tuple(KeyItem(chord_label(chord), chord) for chord in chords)


#: The most used ones, outside any group.
FIRST = (
    KeyItem("Ctrl+Alt+Delete", "ctrl-alt-delete"),
    KeyItem("Ctrl+Alt+Backspace", "ctrl-alt-backspace"),
    KeyItem("Super", "meta_l"),
    KeyItem("Print", "print"),
)
#: Groups of the others, by title.
GROUPS: dict[str, tuple[KeyItem, ...]] = {
    "Text consoles": _items(*(f"ctrl-alt-f{n}" for n in range(1, 13))),
    "Desktop": (
        KeyItem("Alt+Tab", "alt-tab"),
        KeyItem("Alt+F4", "alt-f4"),
        KeyItem("Super+L: lock", "meta_l-l"),
        KeyItem("Super+D: show the desktop", "meta_l-d"),
        KeyItem("Ctrl+Esc", "ctrl-esc"),
        KeyItem("Ctrl+Shift+Esc", "ctrl-shift-esc"),
        KeyItem("Alt+Print", "alt-print"),
        KeyItem("Menu", "compose"),
    ),
    "SysRq (Linux)": (
        KeyItem("Alt+SysRq+R: take the keyboard from X", "alt-sysrq-r"),
        KeyItem("Alt+SysRq+E: ask all processes to end", "alt-sysrq-e"),
        KeyItem("Alt+SysRq+I: kill all processes", "alt-sysrq-i"),
        KeyItem("Alt+SysRq+S: write the disks", "alt-sysrq-s"),
        KeyItem("Alt+SysRq+U: remount the disks read-only", "alt-sysrq-u"),
        KeyItem("Alt+SysRq+B: reboot at once", "alt-sysrq-b"),
        KeyItem("Alt+SysRq+H: list the commands", "alt-sysrq-h"),
        KeyItem("Alt+SysRq+T: list the tasks", "alt-sysrq-t"),
        KeyItem("Alt+SysRq+W: list blocked tasks", "alt-sysrq-w"),
        KeyItem("Alt+SysRq+F: call the out-of-memory killer", "alt-sysrq-f"),
    ),
    "Media": (
        KeyItem("Mute", "audiomute"),
        KeyItem("Volume down", "volumedown"),
        KeyItem("Volume up", "volumeup"),
        KeyItem("Play or pause", "audioplay"),
        KeyItem("Stop", "audiostop"),
        KeyItem("Previous track", "audioprev"),
        KeyItem("Next track", "audionext"),
    ),
}
#: Chords that desktops use, offered to stay with the desktop; by title.
DESKTOP_CHORDS: dict[str, tuple[str, ...]] = {
    "Alt+Tab": ("alt-tab", "alt-shift-tab"),
    "Super": ("meta_l",),
    "Ctrl+Alt+arrows": ("ctrl-alt-left", "ctrl-alt-right", "ctrl-alt-up", "ctrl-alt-down"),
    "Print": ("print",),
}
