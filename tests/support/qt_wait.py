"""A wait that lets Qt work."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtWidgets import QApplication

from . import wait


def until(condition: Callable[[], object], what: str = "") -> None:
    """Handle Qt's events until *condition* holds; fail as `wait.until` does."""

    def holds() -> object:
        QApplication.processEvents()
        return condition()

    wait.until(holds, what)
