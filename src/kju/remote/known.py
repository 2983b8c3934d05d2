"""SHELL: which sender serves each screen: remembered at first use, as ssh remembers hosts.

Every host of an authority can prove that it is a host. That it is the host of *this* screen is
known from the user (``--sender``) or from the first session. A sender with another key is refused
until the user accepts it. A user who may not write in the folder (it can be root's) has no memory
beyond the mirror: that is logged.
"""

from __future__ import annotations

import errno
import logging
import shlex
from pathlib import Path

import msgspec

from ..errors import FileError, PeerError
from . import store

log = logging.getLogger(__name__)

FILE = "senders.json"


class Sender(msgspec.Struct, frozen=True):
    """The sender of one screen.

    Attributes:
        name: Its certificate's common name.
        key: The fingerprint of its public key.
    """

    name: str
    key: str


class Senders(msgspec.Struct):
    """What the file holds: senders by the names of their screens."""

    senders: dict[str, Sender] = {}


class KnownSenders:
    """The senders that this user knows.

    Args:
        folder: The trust folder.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE

    def all(self) -> dict[str, Sender]:
        """Return the known senders by the names of their screens.

        Raises:
            UsageError: The file cannot be read.
        """
        return store.read(self._path, Senders).senders

    def remember(self, screen: str, sender: Sender) -> None:
        """Accept this sender for a screen from now on, in place of another.

        Raises:
            UsageError: The file cannot be written.
        """
        store.change(self._path, Senders, lambda held: held.senders.update({screen: sender}))

    def forget(self, screen: str) -> None:
        """Accept whatever host serves this screen next.

        Raises:
            UsageError: The file cannot be written.
        """
        store.change(self._path, Senders, lambda held: held.senders.pop(screen, None))

    def check(self, screen: str, found: Sender, before: Sender | None = None) -> None:
        """Check a sender that has proved who it is; remember it where none is known.

        Args:
            screen: The screen's name.
            found: The sender.
            before: The sender of an earlier session of the same mirror, where none is known.

        Raises:
            PeerError: Another one is known; the message names both and the command that accepts it.
            UsageError: The file cannot be read or written.
        """
        known = self.all().get(screen) or before or self._first(screen, found)
        if known.key != found.key:
            accept = shlex.join(_accept(screen, found))
            raise PeerError(
                f"the sender of {screen} has changed: it was {known.name!r} with the key"
                f" {known.key}, and now {found.name!r} with the key {found.key} answers. Somebody"
                " between may have taken its place. If you know the new one, accept it and mirror"
                f" again: {accept}"
            )

    def _first(self, screen: str, found: Sender) -> Sender:
        """Remember a sender where none is known; return the one that is known then.

        Two mirrors can have their first session at the same time: the later one gets the sender of
        the earlier one.
        """
        known = found

        def keep(held: Senders) -> None:
            nonlocal known
            known = held.senders.setdefault(screen, found)

        try:
            store.change(self._path, Senders, keep)
        except FileError as error:
            if error.errno not in (errno.EACCES, errno.EROFS):
                raise
            log.warning(
                "%s; the sender of %s is known until this mirror ends only. Whoever may write there"
                " makes it known: %s",
                error, screen, shlex.join(_accept(screen, found)),
            )  # fmt: skip
        return known


def _accept(screen: str, sender: Sender) -> list[str]:
    """The command that accepts a sender."""
    return ["kju", "cert", "sender", f"zenoh:{screen}", sender.name, sender.key]
