"""The messages about forks of a machine. I/O-free."""

from __future__ import annotations

from .values import Name, Reply, Request, Tag


class Freeze(Request, frozen=True, tag="freeze"):
    """Freeze the machine as a base of forks, and let it go on. Answered by `Frozen`.

    Attributes:
        tag: The base's name.
    """

    tag: Tag


class RemoveBase(Request, frozen=True, tag="remove-base"):
    """Stop holding a base of the machine: it is removed with its last fork. Answered by `Done`.

    Attributes:
        tag: The base's name.
    """

    tag: Tag


class Frozen(Reply, frozen=True, tag="frozen"):
    """The answer to `Freeze`. Its descriptor holds the base.

    So the base exists for this client, even if another one replaces or removes it at once.

    Attributes:
        base: The base, as `Launch` takes it.
        milliseconds: The time for which the guest was paused.
    """

    base: Name
    milliseconds: float = 0.0


class Revert(Request, frozen=True, tag="revert"):
    """Return the machine to its base: the last one it was frozen as, or is a fork of.

    Answered by `Done`, once every screen shows it.
    """


class Begin(Request, frozen=True, tag="begin"):
    """Let a spare fork run, under its name. Answered by `Done`."""
