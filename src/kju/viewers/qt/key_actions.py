"""The keyboard's section of the menu: the grab, its policy, the desktop's chords, keys to send."""

from __future__ import annotations

import functools

import msgspec
from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QAction, QActionGroup
from PySide6.QtWidgets import QMenu

from ..contract import Status, ViewState
from ..input.grab import GrabPolicy, chord_label
from ..input.send_keys import DESKTOP_CHORDS, FIRST, GROUPS, KeyItem
from ..preferences import PreferenceFile, Preferences, is_chord, shared_preferences
from .ask import AskText
from .menu import Section
from .palette import plain_action
from .view_parts import ViewParts

_MORE = "\N{HORIZONTAL ELLIPSIS}"
_POLICIES = {
    GrabPolicy.CHORD: "When I press {key}",
    GrabPolicy.CLICK: "When I click into the picture",
    GrabPolicy.HOVER: "While the pointer is over the picture",
    GrabPolicy.FULL_SCREEN: "Always in full screen",
    GrabPolicy.NEVER: "Never",
}


class KeyboardActions(QObject):
    """The keyboard's actions of one window.

    Args:
        console: The window's parts.
        preferences: The user's choices; by default those of all windows of this process.
    """

    _read = Signal(object)
    _failed = Signal(str)

    def __init__(self, console: ViewParts, preferences: PreferenceFile | None = None) -> None:
        super().__init__(console.window)
        self._console = console
        self._file = preferences or shared_preferences()
        menu = console.menu
        self._grab = menu.add(
            Section.KEYBOARD, "Grab the keyboard", self._toggle_grab, icon="locked"
        )
        self._policies: dict[GrabPolicy, QAction] = {}
        self._add_policies()
        self._desktop: dict[tuple[str, ...], QAction] = {}
        self._desktop_menu = menu.submenu(Section.KEYBOARD, "Keys that stay with the desktop")
        self._add_desktop_chords()
        menu.separate(Section.KEYBOARD)
        self._send = menu.submenu(Section.KEYBOARD, "Send keys", "keyboard")
        self._own: list[QAction] = []
        self._add_keys()
        console.status_changed.connect(self._show_status)
        self._read.connect(self._show_preferences)
        console.view_added.connect(lambda view: self._show_preferences(self._file.now))
        self._listener = self._read.emit
        self._failed.connect(console.notify)
        self._file.subscribe(self._listener, self._failed.emit)
        # A window may be deleted without having been closed.
        self.destroyed.connect(functools.partial(self._file.unsubscribe, self._listener))

    def close(self) -> None:
        """Follow the preferences no longer."""
        self._file.unsubscribe(self._listener)

    # ---- The grab

    def _toggle_grab(self) -> None:
        keyboard = self._console.view.viewer.input
        keyboard.grab(not keyboard.grabbed)

    def _add_policies(self) -> None:
        menu = self._console.menu.submenu(Section.KEYBOARD, "Grab the keyboard automatically")
        group = QActionGroup(self)
        key = self._console.view.viewer.input.release_key
        for policy, label in _POLICIES.items():
            action = menu.addAction(plain_action(label.format(key=key)))
            action.setCheckable(True)
            action.triggered.connect(lambda _=False, p=policy: self._change(grab=p))
            group.addAction(action)
            self._policies[policy] = action

    def _add_desktop_chords(self) -> None:
        for title, chords in DESKTOP_CHORDS.items():
            self._desktop[chords] = self._add_desktop_item(title, chords)
        self._desktop_menu.addSeparator()
        other = self._desktop_menu.addAction(f"Other keys{_MORE}")
        other.triggered.connect(self._ask_desktop_chord)

    def _add_desktop_item(self, title: str, chords: tuple[str, ...]) -> QAction:
        action = self._desktop_menu.addAction(plain_action(title))
        action.setCheckable(True)
        action.toggled.connect(lambda on: self._keep_with_desktop(chords, on))
        return action

    def _keep_with_desktop(self, chords: tuple[str, ...], on: bool) -> None:
        now = self._file.now.desktop_chords
        rest = tuple(chord for chord in now if chord not in chords)
        if (wanted := rest + chords if on else rest) != now:
            self._change(desktop_chords=wanted)

    def _ask_desktop_chord(self) -> None:
        AskText(
            self._console.window, "Leave to the desktop",
            "Keys that stay with the desktop while the guest has the keyboard:", "alt-f4",
            _chord_problem, lambda chord: self._keep_with_desktop((chord,), True),
        ).open()  # fmt: skip

    # ---- Keys to send

    def _add_keys(self) -> None:
        for item in FIRST:
            self._add_key(self._send, item)
        for title, items in GROUPS.items():
            group = self._send.addMenu(plain_action(title))
            group.setAccessibleName(title)
            for item in items:
                self._add_key(group, item)
        self._send.addSeparator()
        self._send.addAction(f"Other keys{_MORE}").triggered.connect(self._ask_chord)
        self._forget = self._send.addMenu("Forget own keys")
        self._forget.menuAction().setVisible(False)

    def _add_key(self, menu: QMenu, item: KeyItem) -> QAction:
        action = menu.addAction(plain_action(item.label))
        action.triggered.connect(lambda: self._press(item))
        return action

    def _press(self, item: KeyItem) -> None:
        self._console.view.viewer.input.press_chord(item.numbers)

    def _ask_chord(self) -> None:
        AskText(
            self._console.window, "Send", "Keys to send, such as ctrl-alt-f2:", "ctrl-alt-",
            _chord_problem, self._send_own,
        ).open()  # fmt: skip

    def _send_own(self, chord: str) -> None:
        self._press(KeyItem(chord_label(chord), chord))
        self._file.change(self._file.now.with_chord(chord))

    def _show_own(self, chords: tuple[str, ...]) -> None:
        for action in self._own:
            self._send.removeAction(action)
            action.deleteLater()
        self._own = []
        self._forget.clear()
        before = self._send.actions()[len(FIRST)]
        for chord in chords:
            item = KeyItem(chord_label(chord), chord)
            action = QAction(plain_action(item.label), self)
            action.triggered.connect(lambda _=False, i=item: self._press(i))
            self._send.insertAction(before, action)
            self._own.append(action)
            forget = self._forget.addAction(plain_action(item.label))
            forget.triggered.connect(
                lambda _=False, c=chord: self._file.change(self._file.now.without_chord(c))
            )
        self._forget.menuAction().setVisible(bool(chords))

    # ---- State

    def _change(self, **changes: object) -> None:
        self._file.change(msgspec.structs.replace(self._file.now, **changes))

    def _show_preferences(self, preferences: Preferences) -> None:
        for view in self._console.views:
            view.viewer.input.set_grab_policy(preferences.grab, preferences.desktop_chords)
        self._policies[preferences.grab].setChecked(True)
        for chord in preferences.desktop_chords:
            if not any(chord in chords for chords in self._desktop):
                self._desktop[(chord,)] = self._add_desktop_item(chord_label(chord), (chord,))
        for chords, action in self._desktop.items():
            action.setChecked(set(chords) <= set(preferences.desktop_chords))
        self._show_own(preferences.chords)

    def _show_status(self, status: Status) -> None:
        menu = self._console.menu
        word = "Release the keyboard" if status.grabbed else "Grab the keyboard"
        key = f"\t{status.release_key}"
        reason = _input_refusal(status)
        menu.set_refusal(self._grab, reason)
        self._grab.setText(plain_action(word) + key)
        self._send.setEnabled(not reason)
        menu.set_refusal(self._send.menuAction(), reason)


def _input_refusal(status: Status) -> str:
    """Return the reason why a guest gets no input now; empty where it does."""
    if status.view_only:
        return "this window is view only"
    if status.state is ViewState.ENDED:
        return f"{status.name} is not running"
    if status.state is ViewState.PAUSED:
        return f"{status.name} is paused; it takes no keys"
    return ""


def _chord_problem(text: str) -> str:
    """Return the reason why a text is not a chord; empty where it is."""
    return "" if is_chord(text) else "Write names of keys with - between, such as ctrl-alt-f2."
