"""The text in place of an empty wall: what to do next. I/O-free."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Any, NamedTuple

from ...escaping import one_line
from .search import Filter

_MAX_TEXT = 400


class EmptyAction(Enum):
    """A button of an empty state; the value is its word."""

    SHOW_ALL = "Show all machines"
    NEW = "New machine\N{HORIZONTAL ELLIPSIS}"
    SAMPLE = "Start the sample guest"
    CHECK = "Check again"


class EmptyState(NamedTuple):
    """The text of an empty wall.

    Attributes:
        title: Its heading.
        text: What to do next.
        command: A command to copy, for a terminal; may be empty.
        actions: Its buttons, the first one as the default.
    """

    title: str
    text: str
    command: str = ""
    actions: tuple[EmptyAction, ...] = ()


class Setup(NamedTuple):
    """This computer's setup, from `kju doctor`.

    Attributes:
        broken: Why machines cannot run; empty if they can.
        slow: Why guests are slow; empty if KVM works.
        known: The setup has been checked.
    """

    broken: str = ""
    slow: str = ""
    known: bool = False


def setup_of(findings: Iterable[Mapping[str, Any]]) -> Setup:
    """Return the setup in the findings of ``kju doctor --json``."""
    broken, slow = "", ""
    for finding in findings:
        check, details = finding.get("check"), str(finding.get("details") or "")
        passed = finding.get("passed")
        if check in ("qemu", "runtime folder") and passed is False:
            broken = broken or details
        elif check == "kvm" and passed is not True:
            slow = details
    return Setup(one_line(broken, _MAX_TEXT), one_line(slow, _MAX_TEXT), True)


def nothing_found(query: str, chosen: Filter) -> EmptyState:
    """Return the text for a search or a filter without a machine."""
    parts = []
    if query.strip():
        parts.append(
            f"matches \N{LEFT DOUBLE QUOTATION MARK}{one_line(query.strip(), 80)}"
            "\N{RIGHT DOUBLE QUOTATION MARK}"
        )
    if chosen is not Filter.ALL:
        parts.append(
            f"is in \N{LEFT DOUBLE QUOTATION MARK}{chosen.value}\N{RIGHT DOUBLE QUOTATION MARK}"
        )
    text = (
        "Other machines are hidden by the search."
        if query.strip()
        else ("Other machines are hidden by the filter.")
    )
    return EmptyState(f"No machine {' and '.join(parts)}", text, actions=(EmptyAction.SHOW_ALL,))


def no_machines(setup: Setup) -> EmptyState:
    """Return the text for a user without machines."""
    if setup.broken:
        text, _, command = setup.broken.rpartition(": ")
        is_command = any(command.startswith(word) for word in _COMMANDS)
        return EmptyState(
            "Machines cannot run here yet",
            f"{text}:" if is_command else setup.broken,
            command if is_command else "",
            (EmptyAction.CHECK,),
        )
    text = (
        "Drop a disk or a CD image (ISO) here, or create a machine. The sample guest is a small"
        " Linux to try kju with; its first start downloads 80 MB."
    )
    if setup.slow:
        text += f"\n\nGuests are slow on this computer: {setup.slow}"
    return EmptyState("No machines yet", text, "", (EmptyAction.NEW, EmptyAction.SAMPLE))


_COMMANDS = ("apt ", "sudo ", "dnf ", "pacman ", "zypper ", "apk ", "tools/", "mkdir ")
