"""Checks before a mirror connects, and its connection options from the launch request."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from ...errors import UsageError
from ...protocol.messages import Launch, Remote
from ...remote import addresses
from ...remote.addresses import Options, endpoint
from ...remote.mirror import check_readable
from ...remote.proof import Prover
from ...remote.trust import Trust


class Prepared(NamedTuple):
    """A checked launch of a mirror.

    Attributes:
        request: The request.
        remote: Its part on the connection.
        name: The remote screen's.
    """

    request: Launch
    remote: Remote
    name: str

    @property
    def default_name(self) -> str:
        """The remote screen, whose last part is the machine's name."""
        running = self.request.running
        return running.rpartition("/")[2].partition(":")[2] or running


def prepare(request: Launch) -> Prepared:
    """Check a launch of a mirror.

    Raises:
        UsageError: The address is not valid, or something would leave this computer unprotected.
        MissingError: The codec's library is not installed.
    """
    remote = request.remote
    if remote is None:
        raise UsageError("a mirror needs an address to connect to")
    connection_options(remote).check(insecure=remote.insecure)
    check_readable(remote.codec, lossy=remote.lossy)
    return Prepared(request, remote, addresses.parse_screen(request.running))


def connection_options(remote: Remote) -> Options:
    """Return the options of the network engine.

    Raises:
        UsageError: An endpoint is not valid, or the user has no certificate here.
    """
    tls = Trust(Path(remote.trust)).tls(remote.user) if remote.trust else None
    protocol = "tls" if tls else "tcp"
    return Options(connect=[endpoint(each, protocol) for each in remote.connect], tls=tls)


def prover(remote: Remote, name: str) -> Prover | None:
    """Return the prover of the user's identity; None without a trust folder."""
    if not remote.trust:
        return None
    return Prover(Trust(Path(remote.trust)), remote.user, name, remote.sender)
