"""Work on threads for Qt: results come back on Qt's thread."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from typing import TypeVar

from PySide6.QtCore import QObject, Qt, Signal

_T = TypeVar("_T")


class QtBackground(QObject):
    """Posts calls to Qt's thread, and runs work on threads of its own.

    A call that is posted after the object was destroyed is dropped.
    """

    _posted = Signal(object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._posted.connect(self._call, Qt.ConnectionType.QueuedConnection)

    def post(self, call: Callable[[], None]) -> None:
        """Call a function on Qt's thread; any thread may post."""
        with contextlib.suppress(RuntimeError):  # Qt has destroyed this object
            self._posted.emit(call)

    def run(self, name: str, work: Callable[[], _T], done: Callable[[_T], None]) -> None:
        """Run *work*, which raises nothing, on a thread; pass its result on Qt's thread."""

        def thread() -> None:
            result = work()
            self.post(lambda: done(result))

        threading.Thread(target=thread, name=f"kju-{name}", daemon=True).start()

    def _call(self, call: Callable[[], None]) -> None:
        call()
