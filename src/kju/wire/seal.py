"""What keeps a session from everybody but its two ends, whoever carries it. I/O-free.

Each end draws an X25519 key for one session and says its public half in the greeting, where what
proves who it is covers it. Two AES-256-GCM keys come of the two halves and of what was said, one
for each direction; whoever takes a session down later cannot work them out.

A sealed message is its number (6 bytes, the highest first) and the message, encrypted. Numbers are
told apart because a message may be lost, come late or twice: each is taken once, and none that is
`WINDOW` older than the newest.

An audience is told everything once, so it has one key that all of it know; any of them could speak
with that, so such a message is also signed (Ed25519) by the sender. When one of them leaves, the
others get another key, a generation later: a message begins with the generation of its key.

Source:
    RFC 7748 (X25519), RFC 5869 (HKDF), RFC 5116 (AES-GCM), RFC 8032 (Ed25519); RFC 4303, 3.4.3
    (taking each number once).
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from ..errors import PeerError
from .messages import MAX_MESSAGE

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

#: Bytes of a number, a key, a signature, and the generation of an audience's key.
NUMBER, KEY, SIGNATURE, GENERATION = 6, 32, 64, 4
#: Numbers that a message may be behind the newest: those that must arrive wait for a stalled link
#: while others go by.
WINDOW = 4096


class Seal:
    """One end of a session.

    Args:
        send: The key of what this end says, 32 bytes.
        receive: The key of what the other end says.
    """

    def __init__(self, send: bytes, receive: bytes) -> None:
        self._send, self._receive = _cipher(send), _cipher(receive)
        self._number = 0
        self._once = Once()

    def close(self, data: bytes) -> bytes:
        """A message that only the other end can read."""
        self._number += 1
        return _encrypted(self._send, self._number, data)

    def open(self, data: bytes) -> bytes:
        """The other end's message.

        Raises:
            PeerError: The other end has not said this, or it has come before.
        """
        return _decrypted(self._receive, self._once, data)


class Exchange:
    """A key drawn for one session.

    Attributes:
        public: What the other end is told, 32 bytes.
    """

    def __init__(self) -> None:
        from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

        private = X25519PrivateKey.generate()
        self._private: X25519PrivateKey | None = private
        self.public = private.public_key().public_bytes_raw()

    def agree(self, theirs: bytes, said: bytes, *, viewer: bool) -> Seal:
        """The session's seal. The private half is dropped: one exchange makes one seal.

        Args:
            theirs: The other end's public half.
            said: What both have said so far; another session's is another.
            viewer: Whether this end is the viewer's.

        Raises:
            PeerError: The other end's half is none, or this exchange has made its seal.
        """
        from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey
        from cryptography.hazmat.primitives.hashes import SHA256
        from cryptography.hazmat.primitives.kdf.hkdf import HKDF

        if self._private is None:
            raise PeerError("the key of this session has been used", theirs)
        try:
            secret = self._private.exchange(X25519PublicKey.from_public_bytes(theirs))
        except ValueError as error:
            raise PeerError("the key of the other side is none", theirs) from error
        self._private = None
        salt = hashlib.sha256(said).digest()
        made = HKDF(SHA256(), 2 * KEY, salt, b"kju wire 1").derive(secret)
        up, down = made[:KEY], made[KEY:]
        return Seal(up, down) if viewer else Seal(down, up)


class Group:
    """The sender's seal of what it says to an audience."""

    def __init__(self) -> None:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        self._signer = Ed25519PrivateKey.generate()
        self._number = self._generation = 0
        self._key, self._next = _new_key(), b""
        self._cipher = _cipher(self._key)

    @property
    def ticket(self) -> bytes:
        """What one of the audience is told, under its own seal: 74 bytes."""
        return self._ticket(self._generation, self._key)

    @property
    def next_ticket(self) -> bytes:
        """The same for the next key; empty while there is none."""
        return self._ticket(self._generation + 1, self._next) if self._next else b""

    def _ticket(self, generation: int, key: bytes) -> bytes:
        public = self._signer.public_key().public_bytes_raw()
        head = generation.to_bytes(GENERATION, "big") + self._number.to_bytes(NUMBER, "big")
        return head + key + public

    def draw_next(self) -> bytes:
        """Draw the next key; returns its ticket."""
        self._next = _new_key()
        return self.next_ticket

    def use_next(self) -> None:
        """Seal with the next key from now on."""
        self._generation, self._key, self._next = self._generation + 1, self._next, b""
        self._cipher = _cipher(self._key)

    def close(self, data: bytes) -> bytes:
        """A message that only the audience can read."""
        self._number += 1
        generation = self._generation.to_bytes(GENERATION, "big")
        made = generation + _encrypted(self._cipher, self._number, data)
        return made + self._signer.sign(made)


class Member:
    """One of the audience.

    Args:
        ticket: The `Group.ticket`.

    Raises:
        PeerError: It is none.
    """

    def __init__(self, ticket: bytes) -> None:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

        self._ciphers: dict[int, AESGCM] = {}
        self.learn(ticket)
        number = ticket[GENERATION : GENERATION + NUMBER]
        self._signer = Ed25519PublicKey.from_public_bytes(ticket[GENERATION + NUMBER + KEY :])
        self._once = Once(int.from_bytes(number, "big"))

    def learn(self, ticket: bytes) -> None:
        """Take the key of a ticket, and keep the one before it: both may be in use.

        Raises:
            PeerError: The ticket is none.
        """
        if len(ticket) != GENERATION + NUMBER + 2 * KEY:
            raise PeerError(f"an audience's key has {len(ticket)} bytes", len(ticket))
        key = ticket[GENERATION + NUMBER :][:KEY]
        self._ciphers[int.from_bytes(ticket[:GENERATION], "big")] = _cipher(key)
        for old in sorted(self._ciphers)[:-2]:
            del self._ciphers[old]

    def open(self, data: bytes) -> bytes:
        """The sender's message.

        Raises:
            PeerError: The sender has not said this, or it has come before.
        """
        from cryptography.exceptions import InvalidSignature

        made, signature = data[:-SIGNATURE], data[-SIGNATURE:]
        try:
            self._signer.verify(signature, made)
        except InvalidSignature:
            raise PeerError("a message of the audience's is not the sender's", len(data)) from None
        generation = int.from_bytes(made[:GENERATION], "big")
        cipher = self._ciphers.get(generation)
        if cipher is None:
            raise PeerError(f"no key of generation {generation} of the audience", generation)
        return _decrypted(cipher, self._once, made[GENERATION:])


class Once:
    """Which numbers have come.

    Args:
        after: None up to this one is taken.
    """

    def __init__(self, after: int = 0) -> None:
        self._first = self._newest = after
        self._seen = 0

    def is_new(self, number: int) -> bool:
        """Whether this has not come, and may come."""
        behind = self._newest - number
        return number > self._first and (
            behind < 0 or (behind < WINDOW and not self._seen >> behind & 1)
        )

    def take(self, number: int) -> None:
        """This has come."""
        ahead = number - self._newest
        if ahead > 0:
            self._newest = number
            self._seen = (self._seen << min(ahead, WINDOW) | 1) & ((1 << WINDOW) - 1)
        else:
            self._seen |= 1 << -ahead


def _new_key() -> bytes:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    return AESGCM.generate_key(8 * KEY)


def _cipher(key: bytes) -> AESGCM:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    return AESGCM(key)


def _encrypted(cipher: AESGCM, number: int, data: bytes) -> bytes:
    return number.to_bytes(NUMBER, "big") + cipher.encrypt(number.to_bytes(12, "big"), data, None)


def _decrypted(cipher: AESGCM, once: Once, data: bytes) -> bytes:
    from cryptography.exceptions import InvalidTag

    if len(data) > MAX_MESSAGE + 2048:
        raise PeerError(f"a message of {len(data)} bytes", len(data))
    number = int.from_bytes(data[:NUMBER], "big")
    if not once.is_new(number):
        raise PeerError(f"message {number} has come before, or is too late", number)
    try:
        opened = cipher.decrypt(number.to_bytes(12, "big"), data[NUMBER:], None)
    except (InvalidTag, ValueError):
        raise PeerError("a message is not the other side's", len(data)) from None
    once.take(number)
    return opened
