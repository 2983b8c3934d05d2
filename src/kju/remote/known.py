"""SHELL: the known sender of each screen: trust on first use, as with ssh's known hosts.

Every host of an authority can prove that it is a host. The user (``--sender``) or the first session
decides which host serves a screen. A sender with another key is rejected until the user accepts it.
Without write permission to the folder (it can be root's), a sender is known until the mirror ends;
that is logged.
"""

from __future__ import annotations

import errno
import logging
import shlex
from pathlib import Path

import msgspec

from ..errors import FileError, PeerError
from . import json_file

log = logging.getLogger(__name__)

FILE = "senders.json"


class KnownSender(msgspec.Struct, frozen=True):
    """The sender of one screen.

    Attributes:
        name: Its certificate's common name.
        key: The fingerprint of its public key.
    """

    name: str
    key: str


class _SendersFile(msgspec.Struct):
    """The content of the file: senders by the names of their screens."""

    senders: dict[str, KnownSender] = {}


class KnownSenders:
    """The known senders of this user.

    Args:
        folder: The trust folder.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE

    def all(self) -> dict[str, KnownSender]:
        """Return the known senders by the names of their screens.

        Raises:
            UsageError: The file cannot be read.
        """
        return json_file.read(self._path, _SendersFile).senders

    def remember(self, screen: str, sender: KnownSender) -> None:
        """Accept a sender for a screen from now on, replacing another.

        Raises:
            UsageError: The file cannot be written.
        """
        json_file.change(
            self._path, _SendersFile, lambda held: held.senders.update({screen: sender})
        )

    def forget(self, screen: str) -> None:
        """Forget the sender of a screen: the next host that serves it is accepted.

        Raises:
            UsageError: The file cannot be written.
        """
        json_file.change(self._path, _SendersFile, lambda held: held.senders.pop(screen, None))

    def check(self, screen: str, found: KnownSender, before: KnownSender | None = None) -> None:
        """Check an authenticated sender; remember it if none is known.

        Args:
            screen: The screen's name.
            found: The sender.
            before: The sender of an earlier session of the same mirror, where none is known.

        Raises:
            PeerError: Another one is known. The text names both and the command to accept this one.
            UsageError: The file cannot be read or written.
        """
        known = self.all().get(screen) or before or self._first(screen, found)
        if known.key != found.key:
            accept = shlex.join(_accept(screen, found))
            raise PeerError(
                f"the sender of {screen} has changed from {known.name!r} (key {known.key}) to"
                f" {found.name!r} (key {found.key}). This can be an attack. If you know the new"
                f" sender, accept it and mirror again: {accept}"
            )

    def _first(self, screen: str, found: KnownSender) -> KnownSender:
        """Remember a sender if none is known; return the known one.

        Two mirrors can have their first session at the same time. The later one gets the sender of
        the earlier one.
        """
        known = found

        def keep(held: _SendersFile) -> None:
            nonlocal known
            known = held.senders.setdefault(screen, found)

        try:
            json_file.change(self._path, _SendersFile, keep)
        except FileError as error:
            if error.errno not in (errno.EACCES, errno.EROFS):
                raise
            log.warning(
                "%s: the sender of %s is only known until this mirror ends. To remember it, run as"
                " a user who may write there: %s",
                error, screen, shlex.join(_accept(screen, found)),
            )  # fmt: skip
        return known


def _accept(screen: str, sender: KnownSender) -> list[str]:
    """Return the command to accept a sender."""
    return ["kju", "cert", "sender", f"zenoh:{screen}", sender.name, sender.key]
