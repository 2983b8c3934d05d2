"""SHELL: a user's settings for all windows: the grab's policy, own chords. A JSON file.

A file that cannot be read, or holds other values, counts as none; it is replaced at the next
change. All reading and writing is done on one thread, so the view's thread never waits for a disk.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import logging
import queue
import threading
from collections.abc import Callable
from pathlib import Path

import msgspec

from ..errors import KjuError, UsageError
from ..escaping import one_line
from ..files import Folder
from ..keys import parse_chord
from .input.grab import GrabPolicy

log = logging.getLogger(__name__)

FILE = "windows.json"
#: Chords of the user's own in the menu; the oldest are forgotten.
MAX_CHORDS = 12
_MAX_BYTES = 1 << 16


class Preferences(msgspec.Struct, frozen=True):
    """Preferences of one user.

    Attributes:
        grab: Occasions at which the guest gets the whole keyboard.
        desktop_chords: Chords that stay with the desktop though the keyboard is grabbed.
        chords: The user's own chords to send, newest first.
    """

    grab: GrabPolicy = GrabPolicy.CHORD
    desktop_chords: tuple[str, ...] = ()
    chords: tuple[str, ...] = ()

    def with_chord(self, chord: str) -> Preferences:
        """Return these with a chord as the newest one."""
        others = [other for other in self.chords if other != chord]
        return msgspec.structs.replace(self, chords=(chord, *others)[:MAX_CHORDS])

    def without_chord(self, chord: str) -> Preferences:
        """Return these without a chord."""
        rest = tuple(other for other in self.chords if other != chord)
        return msgspec.structs.replace(self, chords=rest)


# Made by the import: threads must not make it at the same time (`kju.protocol.framing`).
_decode = msgspec.json.Decoder(Preferences).decode


def decode(text: bytes) -> Preferences:
    """Return the preferences of a file's text; invalid chords are left out.

    Raises:
        ValueError: It is not JSON or not UTF-8, or a value has another type.
    """
    read = _decode(text)
    return msgspec.structs.replace(
        read,
        desktop_chords=tuple(filter(is_chord, read.desktop_chords)),
        chords=tuple(filter(is_chord, read.chords))[:MAX_CHORDS],
    )


def is_chord(text: str) -> bool:
    """Return True for a chord such as ``ctrl-alt-f2``."""
    try:
        parse_chord(text)
    except UsageError:
        return False
    return True


class PreferenceFile:
    """The preferences, and the file they are kept in.

    Args:
        folder: The user's state folder of kju.

    Attributes:
        now: The preferences as they are known at this moment.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.now = Preferences()
        self._listeners: list[tuple[Callable[[Preferences], None], Callable[[str], object]]] = []
        self._jobs: queue.SimpleQueue[Preferences | None] = queue.SimpleQueue()
        self._lock = threading.RLock()  # a listener may read `now`
        self._thread: threading.Thread | None = None
        self._changed = False

    def subscribe(
        self, listener: Callable[[Preferences], None], failed: Callable[[str], object]
    ) -> None:
        """Follow the preferences. Both functions are called on any thread.

        Args:
            listener: Called with them now, when they are read, and after each change.
            failed: Called with the reason why a change is not written.
        """
        with self._lock:
            listener(self.now)
            self._listeners.append((listener, failed))
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="kju-prefs", daemon=True)
                self._thread.start()

    def unsubscribe(self, listener: Callable[[Preferences], None]) -> None:
        """Call it no longer."""
        with self._lock:
            self._listeners = [each for each in self._listeners if each[0] != listener]

    def change(self, to: Preferences) -> None:
        """Use these from now on, and write them."""
        with self._lock:
            self._changed = True
            self._announce(to)
        self._jobs.put(to)

    def flush(self) -> None:
        """Wait until every change is written, for at most two seconds."""
        self._jobs.put(None)
        if self._thread is not None:
            self._thread.join(2.0)
            self._thread = None

    def _announce(self, preferences: Preferences) -> None:
        self.now = preferences
        for listener, _ in list(self._listeners):
            listener(preferences)

    def _run(self) -> None:
        with contextlib.suppress(KjuError, OSError, ValueError, RecursionError):
            read = self._read()
            with self._lock:
                if read is not None and not self._changed:
                    self._announce(read)
        while (job := self._jobs.get()) is not None:
            # A full disk costs the memory of a choice, not the window.
            try:
                self._write(job)
            except (KjuError, OSError) as error:
                self._report(f"the choice is not saved for the next start: {error}")

    def _report(self, reason: str) -> None:
        log.warning("%s", one_line(reason))
        with self._lock:
            for _, failed in list(self._listeners):
                failed(reason)

    def _read(self) -> Preferences | None:
        with Folder.open(self._folder, follow_own_link=True) as folder:
            if not folder.has(FILE):
                return None
            return decode(folder.read(FILE, limit=_MAX_BYTES))

    def _write(self, preferences: Preferences) -> None:
        with Folder.open(self._folder, create=True, follow_own_link=True) as folder:
            text = msgspec.json.format(msgspec.json.encode(preferences), indent=2)
            folder.write(FILE, text + b"\n", durable=False)


@functools.cache
def shared_preferences() -> PreferenceFile:
    """Return the preferences of this process's windows."""
    import platformdirs

    shared = PreferenceFile(platformdirs.user_state_path("kju", appauthor=False))
    atexit.register(shared.flush)  # a choice may be made just before the last window closes
    return shared
