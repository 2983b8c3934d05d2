"""Who the two ends of a session are, and the seal that only these two have.

A router between them sees every connection as its own, and whoever it lets in may listen to
everything and put in messages of its own. So each end proves who it is with its certificate and a
signature over the screen's name and the bytes of the greeting, in which are the two halves of a
key that is drawn for this session: nobody else can have made the other half, and a proof is worth
nothing in another session. What follows is sealed with that key (`kju.wire.seal`).

The bytes count, not what is read from them: a field that only one side knows is covered as well.

Every host of the authority can prove that it is a host. Which one serves the screen is checked by
`kju.remote.known`.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator

from ..errors import KjuError, PeerError, UsageError
from ..wire.messages import Challenge, Hello, Role, encode
from ..wire.receiver import Prove, Proven
from ..wire.seal import Exchange
from ..wire.sender import Admission
from .known import KnownSenders, Sender
from .notices import Notices
from .trust import Identity, Trust, words

log = logging.getLogger(__name__)

#: What goes wrong on this side, for its log; anybody can bring it about as often as they like.
_notices = Notices(lambda text: log.warning("%s", text))


class Admit:
    """Asks every viewer of one screen who it is: a sender's `kju.wire.sender.Admit`.

    Args:
        trust: Whom this computer lets in, and its own certificate.
        name: The screen's.
    """

    def __init__(self, trust: Trust, name: str) -> None:
        self._trust, self._name = trust, name

    def __call__(self, hello: Hello, raw: bytes) -> Admission:
        """Ask.

        Raises:
            KjuError: The user is not known here, or the viewer has nothing to prove it with. The
                words are for the viewer.
        """
        with _told_to_viewers():
            return self._asked(hello, raw)

    def _asked(self, hello: Hello, raw: bytes) -> Admission:
        if not hello.key:
            raise KjuError(
                "the sender lets in who proves who that is: connect by tls/ with --user NAME"
            )
        role = role_of(self._trust, hello.user)
        exchange = Exchange()
        said = [self._name.encode(), raw]
        proof = self._trust.sign("host", b"sender", *said, exchange.public)
        challenge = Challenge(exchange.public, proof)
        said.append(encode(challenge))
        seal = exchange.agree(hello.key, words(said), viewer=False)
        granted: Role = "control" if role == "control" and hello.role == "control" else "view"
        asked = _Asked(self._trust, hello.user, role, said)
        return Admission(granted, challenge, asked.proves, seal, asked.check)


class _Asked:
    """A viewer that was asked who it is."""

    def __init__(self, trust: Trust, user: str, role: Role, said: list[bytes]) -> None:
        self._trust, self._user, self._role, self._said = trust, user, role, said
        self._who: Identity | None = None

    def proves(self, proof: bytes) -> bool:
        """Whether this proves it; else an error says why not."""
        with _told_to_viewers():
            who = self._trust.verify(proof, b"viewer", *self._said, kind="user")
        if who.name != self._user:
            raise PeerError(f"the certificate is {who.name}'s and not {self._user}'s")
        self._trust.note(who)
        self._who, self._said = who, []
        return True

    def check(self) -> None:
        """Check that the user may still do here what the session was opened for."""
        with _told_to_viewers():
            if role_of(self._trust, self._user) != self._role:
                raise KjuError(f"the role of {self._user} was changed: connect again")
            if self._who is not None:
                self._trust.check(self._who)


@contextlib.contextmanager
def _told_to_viewers() -> Iterator[None]:
    """Raise errors about the viewer as they are; of others only that there is one.

    Anybody can ask, and files, paths and limits of this computer are not for everybody.
    """
    try:
        yield
    except KjuError as error:
        if type(error) is KjuError or isinstance(error, PeerError):
            raise
        _notices.say(f"viewers cannot be checked: {error}")
        raise KjuError("the sender cannot check who its viewers are: its log says why") from error


def role_of(trust: Trust, user: str) -> Role:
    """Return a user's role.

    Raises:
        KjuError: The user has none, or that cannot be read; the words are told to the viewer.
    """
    try:
        role = trust.roles().get(user)
    except UsageError as error:
        log.warning("%s", error)
        raise KjuError("the sender cannot read who its users are") from error
    if role is None:
        raise KjuError(
            f"user {user!r} is not known to the sender: there, kju trust"
            f" {user or 'NAME'} --role view lets one in"
        )
    return role


class Prover:
    """Proves who a viewer of one screen is, to the one sender of that screen.

    Args:
        trust: The user's certificate, the authority, and the senders that are known.
        user: Who it is.
        name: The screen's.
        sender: The name of its sender; empty for the one that is known, or the first.
    """

    def __init__(self, trust: Trust, user: str, name: str, sender: str = "") -> None:
        self.trust, self.user, self.name = trust, user, name
        self._sender = sender
        self._first: Sender | None = None

    def __call__(self) -> Prove:
        """For one session."""
        return _Session(self)

    def accept(self, who: Identity) -> None:
        """Check that this is the sender of the screen.

        Raises:
            PeerError: It is another.
            UsageError: The senders that are known cannot be read or written.
        """
        if self._sender and who.name != self._sender:
            raise PeerError(
                f"{self.name} is served by {who.name!r} (key {who.key}) and not by"
                f" {self._sender!r}, as --sender wants"
            )
        found = Sender(who.name, who.key)
        KnownSenders(self.trust.folder).check(self.name, found, self._first)
        self._first = found


class _Session:
    def __init__(self, prover: Prover) -> None:
        self._prover = prover
        self._exchange = Exchange()
        self._who: Identity | None = None

    @property
    def key(self) -> bytes:
        return self._exchange.public

    def __call__(self, hello: bytes, challenge: Challenge, raw: bytes) -> Proven:
        prover, trust = self._prover, self._prover.trust
        said = [prover.name.encode(), hello]
        try:
            who = trust.verify(challenge.proof, b"sender", *said, challenge.key, kind="host")
        except PeerError as error:
            raise PeerError(f"the sender does not prove who it is: {error}") from error
        prover.accept(who)
        said.append(raw)
        seal = self._exchange.agree(challenge.key, words(said), viewer=True)
        self._who = who
        return Proven(trust.sign(f"user-{prover.user}", b"viewer", *said), who.name, seal)

    def check(self) -> None:
        if self._who is not None:
            self._prover.trust.check(self._who)
