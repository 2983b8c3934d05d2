"""SHELL: denied keys: their certificates are valid, but are not accepted on this computer."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable
from pathlib import Path

import msgspec

from ..errors import PeerError, UsageError
from . import json_file

FILE, SEEN = "denied.json", "seen.json"
_KEY = re.compile(r"SHA256:[A-Za-z0-9+/]{43}")


class DeniedKeys(msgspec.Struct):
    """The content of the file.

    Attributes:
        keys: Fingerprints of keys, each with the name in its certificate.
        users: Removed users and the time: certificates issued before it are denied.
    """

    keys: dict[str, str] = {}
    users: dict[str, datetime.datetime] = {}

    def remove_user(self, user: str, keys: Iterable[str], now: datetime.datetime) -> None:
        """Deny every certificate of a user that was issued before now.

        Args:
            user: The user.
            keys: The known fingerprints of the user's keys. They are denied even if the clock of
                the issuing computer was wrong.
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
        if removed is not None and issued < removed:
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


def is_key(text: str) -> bool:
    """Return whether a text is the fingerprint of a key."""
    return _KEY.fullmatch(text) is not None


def read(folder: Path) -> DeniedKeys:
    """Read the denied keys.

    Raises:
        UsageError: The file cannot be read.
    """
    return json_file.read(folder / FILE, DeniedKeys)


def deny_key(folder: Path, key: str, name: str) -> None:
    """Deny a key.

    Raises:
        UsageError: The key is not a fingerprint, or the file cannot be written.
    """
    if not is_key(key):
        raise UsageError(f"{key!r} is not a fingerprint of a key: list them with kju cert show")
    json_file.change(folder / FILE, DeniedKeys, lambda denied: denied.keys.update({key: name}))
