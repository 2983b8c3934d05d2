"""Who the two ends of a session are, and the seal that only these two have.

A router between them sees every connection as its own, and whoever it lets in may listen to
everything and put in messages of its own. So each end proves who it is with its certificate and a
signature over the screen's name, what the viewer asks for, and the two halves of a key that are
drawn for this session: nobody else can have made the other half, and a proof is worth nothing in
another session. What follows is sealed with that key (`kju.wire.seal`).
"""

from __future__ import annotations

import logging

import msgspec

from ..errors import KjuError, PeerError, UsageError
from ..wire.messages import Challenge, Hello, Role
from ..wire.receiver import Prove, Proven
from ..wire.seal import Exchange
from ..wire.sender import Admission
from .trust import Trust, words

log = logging.getLogger(__name__)
_encode = msgspec.msgpack.Encoder().encode


class Admit:
    """Asks every viewer of one screen who it is: a sender's `kju.wire.sender.Admit`.

    Args:
        trust: Whom this computer lets in, and its own certificate.
        name: The screen's.
    """

    def __init__(self, trust: Trust, name: str) -> None:
        self._trust, self._name = trust, name

    def __call__(self, hello: Hello) -> Admission:
        """Ask.

        Raises:
            KjuError: The user is not known here, or the viewer has nothing to prove it with.
        """
        if not hello.key:
            raise KjuError(
                "the sender lets in who proves who that is: connect by tls/ with --user NAME"
            )
        try:
            role = self._trust.roles().get(hello.user)
        except UsageError as error:
            log.warning("%s", error)
            raise KjuError("the sender cannot read who its users are") from error
        if role is None:
            raise KjuError(
                f"user {hello.user!r} is not known to the sender: there, kju trust"
                f" {hello.user or 'NAME'} --role view lets one in"
            )
        granted: Role = "control" if role == "control" and hello.role == "control" else "view"
        exchange = Exchange()
        said = _said(self._name, hello, exchange.public)
        proof = self._trust.sign("host", b"sender", *said)
        seal = exchange.agree(hello.key, words([*said, proof]), viewer=False)

        def proves(given: bytes) -> bool:
            who = self._trust.verify(given, b"viewer", *said, proof, host=False)
            if who != hello.user:
                raise PeerError(f"the certificate is {who}'s and not {hello.user}'s")
            return True

        return Admission(granted, Challenge(exchange.public, proof), proves, seal)


class Prover:
    """Proves who a viewer of one screen is, to senders that prove who they are.

    Args:
        trust: The user's certificate, and the authority.
        user: Who it is.
        name: The screen's.
    """

    def __init__(self, trust: Trust, user: str, name: str) -> None:
        self._trust, self._user, self._name = trust, user, name

    def __call__(self) -> Prove:
        """For one session."""
        return _Session(self._trust, self._user, self._name)


class _Session:
    def __init__(self, trust: Trust, user: str, name: str) -> None:
        self._trust, self._user, self._name = trust, user, name
        self._exchange = Exchange()

    @property
    def key(self) -> bytes:
        return self._exchange.public

    def __call__(self, hello: Hello, challenge: Challenge) -> Proven:
        said = _said(self._name, hello, challenge.key)
        try:
            sender = self._trust.verify(challenge.proof, b"sender", *said, host=True)
        except PeerError as error:
            raise PeerError(f"the sender does not prove who it is: {error}") from error
        said.append(challenge.proof)
        seal = self._exchange.agree(challenge.key, words(said), viewer=True)
        proof = self._trust.sign(f"user-{self._user}", b"viewer", *said)
        return Proven(proof, sender, seal)


def _said(name: str, hello: Hello, key: bytes) -> list[bytes]:
    """What both have said before the first proof: see wire.md."""
    asked = [hello.protocol, hello.role, hello.codecs, hello.credit, hello.user, hello.key]
    return [name.encode(), _encode([*asked, hello.audience, hello.lossy]), key]
