"""SHELL: addresses of other computers that a user adds, remembered in the user's state folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from ... import extras
from ...errors import FileError, KjuError, LimitError, UsageError
from ...files import Folder
from ...remote.addresses import SessionOptions, safe_endpoint
from ...remote.trust import Trust, default_folder
from ..settings import state_folder

#: Addresses at most.
MAX_ADDRESSES = 32
_FILE = "remote-machines.json"
_MAX_FILE = 1 << 16


class RemoteAddress(Struct, frozen=True):
    """One address that a user added.

    Attributes:
        connect: ``HOST:PORT``, ``PROTOCOL/HOST:PORT``, or ``unix:PATH``.
        user: The user's name at that sender; empty without certificates.
        insecure: The connection is not encrypted.
    """

    connect: Annotated[str, Meta(min_length=1, max_length=300)]
    user: Annotated[str, Meta(max_length=256)] = ""
    insecure: bool = False

    def options(self) -> SessionOptions:
        """Return the options of a session with this address.

        Raises:
            UsageError: The address is not valid, or the connection would be unprotected.
        """
        where = safe_endpoint(self.connect, insecure=self.insecure)
        encrypted = where.protocol in ("tls", "quic")
        if encrypted and not self.user:
            raise UsageError(
                "an encrypted connection needs your user name at that computer (its key is"
                " installed with kju cert take FILE)"
            )
        tls = Trust(default_folder()).tls(self.user) if encrypted else None
        made = SessionOptions(connect=[where], tls=tls)
        made.check(insecure=self.insecure)
        return made


def address_fault(address: RemoteAddress) -> str:
    """Return why an address cannot be used; empty if it can."""
    if not address.connect:
        return "an address is needed, such as host1:7447"
    try:
        extras.require("remote", "a machine of another computer")
        address.options()
    except KjuError as error:
        return str(error)
    return ""


def addresses_folder() -> Path:
    """Return the folder of the remembered addresses; it may not exist."""
    return state_folder() / "desktop"


def read_addresses(folder: Path) -> list[RemoteAddress]:
    """Return the remembered addresses; an empty list without any.

    Raises:
        FileError: The file cannot be read, or is not a list of addresses.
        LimitError: It is too long.
    """
    path = folder / _FILE
    if not path.exists():
        return []
    with Folder.open(folder, follow_own_link=True) as opened:
        data = opened.read(_FILE, limit=_MAX_FILE)
    try:
        found = msgspec.json.decode(data, type=list[RemoteAddress])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise FileError(
            f"{path} is not a list of addresses: {error}; correct or remove it", str(path)
        ) from error
    if len(found) > MAX_ADDRESSES:
        raise LimitError(
            f"{path} has {len(found)} addresses, and at most {MAX_ADDRESSES} are followed",
            "addresses", MAX_ADDRESSES, len(found),
        )  # fmt: skip
    return list({address.connect: address for address in found}.values())


def write_addresses(folder: Path, addresses: list[RemoteAddress]) -> None:
    """Remember addresses.

    Raises:
        FileError: They could not be written; the old ones stay.
    """
    with Folder.open(folder, create=True, follow_own_link=True) as opened:
        opened.write(_FILE, msgspec.json.encode(addresses) + b"\n")
