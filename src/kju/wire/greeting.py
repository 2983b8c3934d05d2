"""The greeting of a session, at both ends: hello, challenge, proof, welcome.

Rules:

- A viewer that wants to authenticate the sender accepts nothing before the sender's proof.
- A proof covers the hello and the challenge as the bytes that were sent, so that fields which one
  side does not know are covered too.
- From the challenge on, all messages of an authenticated session are sealed (`kju.wire.seal`).
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, Protocol

from ..errors import KjuError, PeerError
from ..protocol.values import Role
from . import codecs, messages
from .messages import PROTOCOL, Challenge, Proof, SessionHello, SessionWelcome
from .seal import MemberSeal

if TYPE_CHECKING:
    from .seal import Seal


class Stage(enum.Enum):
    """The stage of a session. GREETED and PROVED are a viewer's, CHALLENGED is a sender's."""

    NEW = "new"
    GREETED = "greeted"
    PROVED = "proved"
    CHALLENGED = "challenged"
    OPEN = "open"
    CLOSED = "closed"


# ---- the sender's end ----


class Admission(NamedTuple):
    """The answer to a `SessionHello`.

    Attributes:
        role: The role that the viewer gets.
        challenge: The challenge to answer; None without authentication.
        prove: Returns whether a proof is right, or raises a KjuError for the viewer.
        seal: Seals all messages after the challenge.
        check: Called while the session lives; raises a KjuError for the viewer once its right has
            ended.
    """

    role: Role
    challenge: Challenge | None = None
    prove: Callable[[bytes], bool] | None = None
    seal: Seal | None = None
    check: Callable[[], None] | None = None


#: Decides about a viewer: takes its hello, decoded and as it was sent.
#:
#: Raises:
#:     KjuError: The viewer is rejected; the text is sent to it.
Admit = Callable[[SessionHello, bytes], Admission]


class SenderGreeting:
    """The greeting of one viewer, at the sender.

    Args:
        admit: Decides about the viewer.

    Attributes:
        raw_hello: The hello as it was received; empty if only the decoded one is known.
        hello: The viewer's hello, once it was accepted.
        seal: Seals the messages of the session; None without authentication.
        role: The viewer's role, once it was admitted.
        user: The viewer's user, once it was admitted.
    """

    def __init__(self, admit: Admit) -> None:
        self._admit = admit
        self._admission: Admission | None = None
        self.raw_hello = b""
        self.hello: SessionHello | None = None
        self.seal: Seal | None = None
        self.role: Role = "view"
        self.user = ""

    def receive_hello(self, hello: SessionHello, codec: str) -> Admission:
        """Decide about a viewer.

        Raises:
            KjuError: It is rejected; the text is for the viewer.
        """
        if hello.protocol != PROTOCOL:
            raise KjuError(
                f"this sender uses protocol {PROTOCOL}, the viewer {hello.protocol}: install the"
                " same version of kju on both computers"
            )
        if codec not in hello.codecs:
            raise KjuError(
                f"the sender uses the codec {codec}, the viewer supports {', '.join(hello.codecs)}"
            )
        self._admission = self._admit(hello, self.raw_hello or messages.encode(hello))
        self.hello, self.seal = hello, self._admission.seal
        return self._admission

    def receive_proof(self, proof: bytes) -> SessionHello:
        """Check a viewer's proof, and return its hello.

        Raises:
            KjuError: The proof is wrong; the text is for the viewer.
        """
        admission, hello = self._admission, self.hello
        if hello is None or admission is None or admission.prove is None:
            raise KjuError("this sender has sent no challenge")
        if not admission.prove(proof):
            raise KjuError(f"the proof of user {hello.user!r} is wrong")
        return hello

    def accept(self, hello: SessionHello) -> None:
        """Give the viewer its role."""
        if self._admission is not None:
            self.role, self.user = self._admission.role, hello.user

    def check(self) -> None:
        """Check that the viewer may keep its session.

        Raises:
            KjuError: Its right has ended; the text is for the viewer.
        """
        if self._admission is not None and self._admission.check:
            self._admission.check()


# ---- the viewer's end ----


class Proven(NamedTuple):
    """The answer to a challenge.

    Attributes:
        proof: The proof of the viewer's identity.
        sender: The name that the sender has proved.
        seal: Seals all messages after the challenge.
    """

    proof: bytes
    sender: str
    seal: Seal | None = None


class Prove(Protocol):
    """Answers the challenge of one session, and checks the sender while the session lives."""

    @property
    def key(self) -> bytes:
        """The public key that the hello carries."""

    def __call__(self, hello: bytes, challenge: Challenge, raw: bytes, /) -> Proven:
        """Answer a challenge.

        Args:
            hello: The hello as it was sent.
            challenge: The challenge.
            raw: The challenge as it was received, with fields that this side does not know.

        Raises:
            KjuError: The user has no certificate here, or the sender is not the right one.
        """

    def check(self) -> None:
        """Check that the sender is still trusted; only called after a right challenge.

        Raises:
            KjuError: Its certificate has expired, or was denied.
        """


class ViewerGreeting:
    """The greeting of one sender, at the viewer.

    Args:
        hello: The first message.
        prove: Answers the challenge; None without authentication.

    Attributes:
        hello: The same.
        raw_challenge: The challenge as it was received; empty if only the decoded one is known.
        hint: An unauthenticated reason of a refusal.
        sender: The name that the sender has proved; empty without authentication.
        seal: Seals the messages of the session; None without authentication.
        member: Opens the messages for the audience; None outside a sealed audience.
        welcome: The sender's welcome, once it was received.
    """

    def __init__(self, hello: SessionHello, prove: Prove | None) -> None:
        self.hello = hello
        self._prove = prove
        self.raw_challenge = b""
        self.hint = ""
        self.sender = ""
        self.seal: Seal | None = None
        self.member: MemberSeal | None = None
        self.welcome: SessionWelcome | None = None

    @property
    def is_sender_unproved(self) -> bool:
        """True if the sender's proof is still missing, so that anybody may send in its name."""
        return self._prove is not None and self.seal is None

    def receive_challenge(self, challenge: Challenge) -> Proof:
        """Check the sender's proof, and return this viewer's.

        Raises:
            KjuError: The user has no certificate, or the sender is not the right one.
        """
        if self._prove is None:
            raise PeerError("this sender authenticates viewers: connect over tls/ with --user NAME")
        raw = self.raw_challenge or messages.encode(challenge)
        proof, self.sender, self.seal = self._prove(messages.encode(self.hello), challenge, raw)
        return Proof(proof)

    def receive_welcome(self, welcome: SessionWelcome) -> None:
        """Accept a welcome.

        Raises:
            PeerError: It has a protocol or a codec that was not in the hello.
        """
        if welcome.protocol != PROTOCOL:
            raise PeerError(
                f"the sender uses protocol {welcome.protocol}, this viewer {PROTOCOL}: install"
                " the same version of kju on both computers"
            )
        offered = self.hello.codecs
        if welcome.codec not in offered or welcome.codec not in codecs.CODECS:
            raise PeerError(f"the sender uses codec {welcome.codec}, which was not offered")
        if welcome.lossy and codecs.JPEG not in offered:
            raise PeerError("the sender uses photos (jpeg), which were not offered")
        if welcome.audience and self.seal is not None:
            self.member = MemberSeal(welcome.ticket)
        self.welcome = welcome

    def check(self) -> None:
        """Check that the sender is still trusted.

        Raises:
            KjuError: It is no longer trusted.
        """
        if self.seal is not None and self._prove is not None:
            self._prove.check()
