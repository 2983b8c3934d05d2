"""SHELL: keys that are not valid any more, though their certificates are."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable
from pathlib import Path

import msgspec

from ..errors import PeerError, UsageError
from . import store

FILE, SEEN = "denied.json", "seen.json"
_KEY = re.compile(r"SHA256:[A-Za-z0-9+/]{43}")


class Denied(msgspec.Struct):
    """What the file holds.

    Attributes:
        keys: Fingerprints of keys, each with the name that it had.
        users: Users that were removed, and when: no certificate that was issued before is valid.
    """

    keys: dict[str, str] = {}
    users: dict[str, datetime.datetime] = {}

    def remove_user(self, user: str, keys: Iterable[str], now: datetime.datetime) -> None:
        """Deny every certificate of a user that was made before now.

        Args:
            user: The user.
            keys: The fingerprints of the user's keys that are known here. They are denied whatever
                the clock of the computer that made their certificates says.
            now: The time of the removal.
        """
        self.users[user] = now.replace(microsecond=0)  # certificates have no smaller unit
        self.keys.update(dict.fromkeys(keys, user))

    def check(self, name: str, key: str, issued: datetime.datetime, *, user: bool) -> None:
        """Refuse a key.

        Args:
            name: Its certificate's common name.
            key: Its fingerprint.
            issued: When its certificate was made.
            user: Whether it is a user's.

        Raises:
            PeerError: It is denied here.
        """
        removed = self.users.get(name) if user else None
        if key in self.keys:
            raise PeerError(f"the key {key} of {name!r} was denied")
        if removed is not None and issued < removed:
            raise PeerError(
                f"the certificate of {name!r} was made before this user was removed here: a new"
                " one is needed (kju cert user)"
            )


class Seen(msgspec.Struct):
    """The keys that users have proved to have here.

    Attributes:
        keys: Fingerprints, each with the name of its user.
    """

    keys: dict[str, str] = {}


def is_key(text: str) -> bool:
    """Whether this is a key's fingerprint."""
    return _KEY.fullmatch(text) is not None


def read(folder: Path) -> Denied:
    """Return what is denied.

    Raises:
        UsageError: The file cannot be read.
    """
    return store.read(folder / FILE, Denied)


def deny_key(folder: Path, key: str, name: str) -> None:
    """Deny a key.

    Raises:
        UsageError: It is no fingerprint, or the file cannot be written.
    """
    if not is_key(key):
        raise UsageError(f"{key!r} is not a key's fingerprint, such as kju cert show lists")
    store.change(folder / FILE, Denied, lambda denied: denied.keys.update({key: name}))
