"""The command line of an emulator: the user's arguments, and what kju appends. I/O-free."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple


class Appended(NamedTuple):
    """Arguments that kju appends, and the reason."""

    arguments: tuple[str, ...]
    reason: str


@dataclass(frozen=True)
class Plan:
    """A whole command line.

    Attributes:
        user: The user's arguments, unchanged.
        appended: The arguments after them.
        notes: Further remarks for readers of ``kju info``.
    """

    user: tuple[str, ...] = ()
    appended: tuple[Appended, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def arguments(self) -> list[str]:
        """All arguments, in their order."""
        return [*self.user, *(a for part in self.appended for a in part.arguments)]

    def info(self) -> dict[str, Any]:
        """Return the appended arguments and the notes, for a machine's info."""
        return {
            "appended": [
                {"arguments": list(part.arguments), "reason": part.reason} for part in self.appended
            ],
            "notes": list(self.notes),
        }
