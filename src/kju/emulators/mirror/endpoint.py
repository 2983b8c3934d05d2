"""How a mirror reaches its screen, out of what a launch says."""

from __future__ import annotations

from pathlib import Path

from ...protocol.messages import Remote
from ...remote.endpoints import Options, endpoint
from ...remote.proof import Prover
from ...remote.trust import Trust


def options(remote: Remote) -> Options:
    """As the engine takes it.

    Raises:
        UsageError: A place to connect to is none, or the user has no certificate here.
    """
    tls = Trust(Path(remote.trust)).tls(remote.user) if remote.trust else None
    protocol = "tls" if tls else "tcp"
    return Options(connect=[endpoint(each, protocol) for each in remote.connect], tls=tls)


def prover(remote: Remote, name: str) -> Prover | None:
    """What proves who this is; None where there is nothing to prove it with."""
    if not remote.trust:
        return None
    return Prover(Trust(Path(remote.trust)), remote.user, name, remote.sender)
