"""Authentication of both ends of a session, and the seal between them.

A router sees every connection as its own, and any client of it may listen to all messages and
inject others. So each end proves its identity with its certificate and a signature over the
screen's name and the bytes of the greeting. The greeting carries the two public keys of this
session. Nobody else knows their private halves, and a proof is worthless in another session. Later
messages are sealed with the keys that both ends derive (`kju.wire.seal`).

The signature covers the received bytes, not the decoded fields, so a field that only one end knows
is covered too.

Any host certificate of the authority proves that its owner is a host. `kju.remote.key_lists` checks
that it is the host of this screen.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator

from ..errors import KjuError, PeerError, UsageError
from ..protocol.values import Role, granted
from ..wire.greeting import Admission, Prove, Proven
from ..wire.messages import Challenge, SessionHello, encode
from ..wire.seal import KeyExchange
from .connection_errors import Notices
from .key_lists import KnownSender, KnownSenders
from .trust import AuthenticatedPeer, Trust, joined

log = logging.getLogger(__name__)

#: Local problems that any viewer can trigger, for this computer's log.
_notices = Notices(lambda text: log.warning("%s", text))


class Authenticator:
    """Authenticates the viewers of one screen: a `kju.wire.greeting.Admit`.

    Args:
        trust: The roles of users, and this computer's certificate.
        name: The screen's name.
    """

    def __init__(self, trust: Trust, name: str) -> None:
        self._trust, self._name = trust, name

    def __call__(self, hello: SessionHello, raw: bytes) -> Admission:
        """Challenge a viewer.

        Raises:
            KjuError: The user is unknown, or the viewer has no certificate. The text is for the
                viewer.
        """
        with _errors_for_viewers():
            return self._challenge(hello, raw)

    def _challenge(self, hello: SessionHello, raw: bytes) -> Admission:
        if not hello.key:
            raise KjuError(
                "this sender requires authentication: connect over tls/ with --user NAME"
            )
        role = _role_of(self._trust, hello.user)
        exchange = KeyExchange()
        parts = [self._name.encode(), raw]
        proof = self._trust.sign("host", b"sender", *parts, exchange.public)
        challenge = Challenge(exchange.public, proof)
        parts.append(encode(challenge))
        seal = exchange.agree(hello.key, joined(parts), viewer=False)
        check = _ViewerCheck(self._trust, hello.user, role, parts)
        return Admission(granted(role, hello.role), challenge, check.prove, seal, check.check)


class _ViewerCheck:
    """The authentication of one challenged viewer."""

    def __init__(self, trust: Trust, user: str, role: Role, parts: list[bytes]) -> None:
        self._trust, self._user, self._role, self._parts = trust, user, role, parts
        self._identity: AuthenticatedPeer | None = None

    def prove(self, proof: bytes) -> bool:
        """Check a proof; return True, or raise an error for the viewer."""
        with _errors_for_viewers():
            identity = self._trust.verify(proof, b"viewer", *self._parts, kind="user")
        if identity.name != self._user:
            raise PeerError(f"the certificate is for user {identity.name}, not {self._user}")
        self._trust.remember_key(identity)
        self._identity, self._parts = identity, []
        return True

    def check(self) -> None:
        """Check that the user still has the role of this session."""
        with _errors_for_viewers():
            if _role_of(self._trust, self._user) != self._role:
                raise KjuError(f"the role of {self._user} was changed: connect again")
            if self._identity is not None:
                self._trust.check(self._identity)


@contextlib.contextmanager
def _errors_for_viewers() -> Iterator[None]:
    """Pass on errors about the viewer; replace others by a text without details.

    Anybody can send a hello, and must not learn files, paths and limits of this computer.
    """
    try:
        yield
    except KjuError as error:
        if type(error) is KjuError or isinstance(error, PeerError):
            raise
        _notices.report(f"viewers cannot be authenticated: {error}")
        raise KjuError("the sender cannot authenticate viewers: see its log") from error


def _role_of(trust: Trust, user: str) -> Role:
    """Return a user's role.

    Raises:
        KjuError: The user has none, or the roles cannot be read. The text is for the viewer.
    """
    try:
        role = trust.roles().get(user)
    except UsageError as error:
        log.warning("%s", error)
        raise KjuError("the sender cannot read the roles of its users: see its log") from error
    if role is None:
        raise KjuError(
            f"the sender does not know user {user!r}: run kju trust {user or 'NAME'} --role view"
            " there"
        )
    return role


class Prover:
    """Authenticates a viewer of one screen, and checks that its sender is the right one.

    Args:
        trust: The user's certificate, the authority, and the known senders.
        user: The user.
        name: The screen's name.
        sender: The name of the sender; empty for the known one, or the first.
    """

    def __init__(self, trust: Trust, user: str, name: str, sender: str = "") -> None:
        self.trust, self.user, self.name = trust, user, name
        self._sender = sender
        self._first: KnownSender | None = None

    def __call__(self) -> Prove:
        """Return the authentication of one session."""
        return _SessionProver(self)

    def accept(self, identity: AuthenticatedPeer) -> None:
        """Check that a host is the sender of the screen.

        Raises:
            PeerError: It is not.
            UsageError: The known senders cannot be read or written.
        """
        if self._sender and identity.name != self._sender:
            raise PeerError(
                f"{self.name} is served by {identity.name!r} (key {identity.key}); --sender"
                f" requires {self._sender!r}"
            )
        found = KnownSender(identity.name, identity.key)
        KnownSenders(self.trust.folder).check(self.name, found, self._first)
        self._first = found


class _SessionProver:
    """The authentication of one session, at the viewer: a `kju.wire.greeting.Prove`."""

    def __init__(self, prover: Prover) -> None:
        self._prover = prover
        self._exchange = KeyExchange()
        self._sender: AuthenticatedPeer | None = None

    @property
    def key(self) -> bytes:
        return self._exchange.public

    def __call__(self, hello: bytes, challenge: Challenge, raw: bytes) -> Proven:
        prover, trust = self._prover, self._prover.trust
        parts = [prover.name.encode(), hello]
        try:
            sender = trust.verify(challenge.proof, b"sender", *parts, challenge.key, kind="host")
        except PeerError as error:
            raise PeerError(f"the sender's proof is not valid: {error}") from error
        prover.accept(sender)
        parts.append(raw)
        seal = self._exchange.agree(challenge.key, joined(parts), viewer=True)
        self._sender = sender
        return Proven(trust.sign(f"user-{prover.user}", b"viewer", *parts), sender.name, seal)

    def check(self) -> None:
        if self._sender is not None:
            self._prover.trust.check(self._sender)
