"""SHELL: text on the screens of running machines, for a search.

Screens are read only while a search asks for them, on threads of their own. Text consoles are read
exactly; other screens need the extra ``text``. The result of a screen stays until the next reading.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ...client.launching import attach
from ...errors import MissingError
from ..background import Background
from ..machines.entry import MachineEntry, MachineKey

#: Threads that read; tesseract takes a second of one core for a full screen.
_WORKERS = 2
#: Characters of one screen that are kept.
_MAX_TEXT = 20_000


class ScreenTexts:
    """The texts that were read.

    Args:
        post: Calls a function on the toolkit's thread, from any thread.
        changed: Called there when a text has been read.

    Attributes:
        missing: The message of a missing extra; empty while nothing is missing.
    """

    def __init__(
        self, post: Callable[[Callable[[], None]], None], changed: Callable[[], object]
    ) -> None:
        self.missing = ""
        self._changed = changed
        self._background = Background(post, _WORKERS)
        self._texts: dict[MachineKey, str] = {}
        self._reading: set[MachineKey] = set()

    def text(self, key: MachineKey) -> str:
        """Return the text of a machine's screen as it was read last; empty before that."""
        return self._texts.get(key, "")

    def read(self, entries: Iterable[MachineEntry]) -> None:
        """Read the screens of running machines of this computer; `changed` follows for each."""
        for entry in entries:
            readable = entry.is_local and entry.state.runs and entry.screens != 0
            if readable and entry.key not in self._reading:
                self._read(entry.key)

    def drop(self) -> None:
        """Forget all texts: no search asks for them."""
        self._texts.clear()

    def close(self) -> None:
        """End the threads."""
        self._background.close()

    def _read(self, key: MachineKey) -> None:
        self._reading.add(key)

        def done(text: str) -> None:
            self._reading.discard(key)
            if self._texts.get(key) != text:
                self._texts[key] = text
                self._changed()

        def work() -> str:
            try:
                return _screen_text(key.name)
            except MissingError as error:
                self.missing = str(error)
                return ""

        self._background.run(work, done, lambda reason: done(""))


def _screen_text(name: str) -> str:
    """Return the text on the first screen of a machine.

    Raises:
        MissingError: Its text is not in a text console's font, and the extra is missing.
        KjuError: The machine does not answer, or has no picture yet.
    """
    with attach(name, "view") as machine:
        machine.screen.refresh()
        return str(machine.screen.read_text())[:_MAX_TEXT]
