"""SHELL: the lists of keys in a trust folder: denied keys, keys of users, and known senders.

Each list is a JSON file that several processes change. Only `change_list` writes one, under a lock.
A reader sees the old file or the new one.

Known senders are trust on first use, as with ssh's known hosts. Every host of an authority can
prove that it is a host. The user (``--sender``) or the first session decides which host serves a
screen. A sender with another key is rejected until the user accepts it. Without write permission to
the folder (it can be root's), a sender is known until the mirror ends; that is logged.
"""

from __future__ import annotations

import datetime
import errno
import logging
import re
import shlex
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

import msgspec

from ..errors import FileError, PeerError, UsageError
from ..files import Folder
from .certificates import CLOCK_TOLERANCE

log = logging.getLogger(__name__)

DENIED_FILE, SEEN_FILE = "denied.json", "seen.json"
_SENDERS_FILE = "senders.json"
_KEY = re.compile(r"SHA256:[A-Za-z0-9+/]{43}")
_Content = TypeVar("_Content", bound=msgspec.Struct)


def read_list(path: Path, kind: type[_Content]) -> _Content:
    """Return the content of a file, or an empty *kind* if the file is missing.

    Raises:
        UsageError: The file has other content.
        FileError: The file cannot be read, or other users may write to it or to its folder.
    """
    try:
        with Folder.open(path.parent, follow_own_link=True) as folder:
            return _decoded(folder.read(path.name), path, kind)
    except FileError as error:
        if error.errno != errno.ENOENT:
            raise
        return kind()


def change_list(path: Path, kind: type[_Content], edit: Callable[[_Content], object]) -> None:
    """Edit the content of a file and replace the file.

    Args:
        path: The file. A missing folder is created.
        kind: The type of its content.
        edit: Changes the content in place.

    Raises:
        UsageError: The file has other content.
        FileError: The file cannot be read or written.
    """
    with Folder.open(path.parent, create=True, follow_own_link=True) as folder, folder.lock():
        content = read_list(path, kind)
        edit(content)
        folder.sweep()
        folder.write(path.name, encode_list(content))


def encode_list(content: msgspec.Struct) -> bytes:
    """Return the bytes of a file with this content."""
    return msgspec.json.format(msgspec.json.encode(content)) + b"\n"


def _decoded(data: bytes, path: Path, kind: type[_Content]) -> _Content:
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError(f"{path}: {error}; repair or remove it") from error


class DeniedKeys(msgspec.Struct):
    """The content of the file.

    Attributes:
        keys: Fingerprints of keys, each with the name in its certificate.
        users: Removed users and the time: older certificates are denied.
    """

    keys: dict[str, str] = {}
    users: dict[str, datetime.datetime] = {}

    def remove_user(self, user: str, keys: Iterable[str], now: datetime.datetime) -> None:
        """Deny every certificate of a user that is older than now by more than `CLOCK_TOLERANCE`.

        Args:
            user: The user.
            keys: The known fingerprints of the user's keys, which are denied whatever the dates
                of their certificates are.
            now: The time of the removal.
        """
        self.users[user] = now.replace(microsecond=0)  # certificates have no smaller unit
        self.keys.update(dict.fromkeys(keys, user))

    def check(self, name: str, key: str, issued: datetime.datetime, *, user: bool) -> None:
        """Check that a key is not denied.

        Args:
            name: Its certificate's common name.
            key: Its fingerprint.
            issued: The time when its certificate was issued.
            user: It belongs to a user.

        Raises:
            PeerError: It is denied.
        """
        removed = self.users.get(name) if user else None
        if key in self.keys:
            raise PeerError(f"the key {key} of {name!r} was denied")
        # A new certificate is accepted although the clock of its authority is a little slow.
        if removed is not None and issued + CLOCK_TOLERANCE < removed:
            raise PeerError(
                f"the certificate of {name!r} is older than the removal of this user: create a new"
                " one with kju cert user"
            )


class SeenKeys(msgspec.Struct):
    """The keys of users that were authenticated on this computer.

    Attributes:
        keys: Fingerprints of keys, each with its user.
    """

    keys: dict[str, str] = {}


def is_fingerprint(text: str) -> bool:
    """Return whether a text is the fingerprint of a key."""
    return _KEY.fullmatch(text) is not None


def read_denied(folder: Path) -> DeniedKeys:
    """Read the denied keys.

    Raises:
        UsageError: The file cannot be read.
    """
    return read_list(folder / DENIED_FILE, DeniedKeys)


def deny_key(folder: Path, key: str, name: str) -> None:
    """Deny a key.

    Raises:
        UsageError: The key is not a fingerprint, or the file cannot be written.
    """
    if not is_fingerprint(key):
        raise UsageError(f"{key!r} is not a fingerprint of a key: list them with kju cert show")
    change_list(folder / DENIED_FILE, DeniedKeys, lambda denied: denied.keys.update({key: name}))


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
        self._path = folder / _SENDERS_FILE

    def all(self) -> dict[str, KnownSender]:
        """Return the known senders by the names of their screens.

        Raises:
            UsageError: The file cannot be read.
        """
        return read_list(self._path, _SendersFile).senders

    def remember(self, screen: str, sender: KnownSender) -> None:
        """Accept a sender for a screen from now on, replacing another.

        Raises:
            UsageError: The file cannot be written.
        """
        change_list(self._path, _SendersFile, lambda held: held.senders.update({screen: sender}))

    def forget(self, screen: str) -> None:
        """Forget the sender of a screen: the next host that serves it is accepted.

        Raises:
            UsageError: The file cannot be written.
        """
        change_list(self._path, _SendersFile, lambda held: held.senders.pop(screen, None))

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
            change_list(self._path, _SendersFile, keep)
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
