"""Encryption of a session's messages between its two ends, whatever router forwards them.

Each end draws an X25519 key for one session and sends the public half in the greeting, where the
proof of its identity covers it. The two halves and the greeting give two AES-256-GCM keys, one for
each direction. Nobody can derive them later from a recorded session.

A sealed message is its number (6 bytes, big-endian) and the encrypted message. Messages may be
lost, late or repeated, so each number is accepted once (`kju.wire.sequence`).

All members of an audience share one key, and any of them could encrypt with it, so the sender also
signs its messages for them (Ed25519). When a member leaves, the others get a new key. A message to
an audience begins with the generation of its key.

Source:
    RFC 7748 (X25519), RFC 5869 (HKDF), RFC 5116 (AES-GCM), RFC 8032 (Ed25519).
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from ..errors import PeerError
from .messages import MAX_MESSAGE
from .sequence import ReplayGuard

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

#: Bytes of a message number, a key, a signature, and the generation of an audience's key.
NUMBER, KEY, _SIGNATURE, _GENERATION = 6, 32, 64, 4


class Seal:
    """The encryption at one end of a session.

    Args:
        send: The key for messages to the peer, 32 bytes.
        receive: The key for messages from the peer.
    """

    def __init__(self, send: bytes, receive: bytes) -> None:
        self._send, self._receive = _cipher(send), _cipher(receive)
        self._number = 0
        self._replay_guard = ReplayGuard()

    def close(self, data: bytes) -> bytes:
        """Encrypt a message for the peer."""
        self._number += 1
        return _encrypted(self._send, self._number, data)

    def open(self, data: bytes) -> bytes:
        """Decrypt a message from the peer.

        Raises:
            PeerError: The message is not the peer's, or was received before.
        """
        return _decrypted(self._receive, self._replay_guard, data)


class KeyExchange:
    """The key exchange of one session.

    Attributes:
        public: The public key for the peer, 32 bytes.
    """

    def __init__(self) -> None:
        from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

        private = X25519PrivateKey.generate()
        self._private: X25519PrivateKey | None = private
        self.public = private.public_key().public_bytes_raw()

    def agree(self, theirs: bytes, greeting: bytes, *, viewer: bool) -> Seal:
        """Derive the session's seal and drop the private key: one exchange makes one seal.

        Args:
            theirs: The public key of the peer.
            greeting: The bytes of the greeting so far; they differ between sessions.
            viewer: This end is the viewer's.

        Raises:
            PeerError: The peer's key is not valid, or this exchange has made its seal.
        """
        from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey
        from cryptography.hazmat.primitives.hashes import SHA256
        from cryptography.hazmat.primitives.kdf.hkdf import HKDF

        if self._private is None:
            raise PeerError("the key of this session was used before", theirs)
        try:
            secret = self._private.exchange(X25519PublicKey.from_public_bytes(theirs))
        except ValueError as error:
            raise PeerError("the peer sent an invalid public key", theirs) from error
        self._private = None
        salt = hashlib.sha256(greeting).digest()
        made = HKDF(SHA256(), 2 * KEY, salt, b"kju wire 1").derive(secret)
        up, down = made[:KEY], made[KEY:]
        return Seal(up, down) if viewer else Seal(down, up)


class GroupSeal:
    """The sender's encryption of the messages to an audience."""

    def __init__(self) -> None:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        self._signer = Ed25519PrivateKey.generate()
        self._number = self._generation = 0
        self._key, self._next = _new_key(), b""
        self._cipher = _cipher(self._key)

    @property
    def ticket(self) -> bytes:
        """The key for a member, sent under the seal of its session: 74 bytes."""
        return self._ticket(self._generation, self._key)

    @property
    def next_ticket(self) -> bytes:
        """The ticket of the next key; empty if none was drawn."""
        return self._ticket(self._generation + 1, self._next) if self._next else b""

    def _ticket(self, generation: int, key: bytes) -> bytes:
        public = self._signer.public_key().public_bytes_raw()
        head = generation.to_bytes(_GENERATION, "big") + self._number.to_bytes(NUMBER, "big")
        return head + key + public

    def draw_next(self) -> bytes:
        """Draw the next key, and return its ticket."""
        self._next = _new_key()
        return self.next_ticket

    def use_next(self) -> None:
        """Encrypt with the next key from now on."""
        self._generation, self._key, self._next = self._generation + 1, self._next, b""
        self._cipher = _cipher(self._key)

    def close(self, data: bytes) -> bytes:
        """Encrypt and sign a message for the audience."""
        self._number += 1
        generation = self._generation.to_bytes(_GENERATION, "big")
        made = generation + _encrypted(self._cipher, self._number, data)
        return made + self._signer.sign(made)


class MemberSeal:
    """The decryption of the messages to an audience, at one of its members.

    Args:
        ticket: The sender's `GroupSeal.ticket`.

    Raises:
        PeerError: The ticket is not valid.
    """

    def __init__(self, ticket: bytes) -> None:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

        self._ciphers: dict[int, AESGCM] = {}
        self.learn(ticket)
        number = ticket[_GENERATION : _GENERATION + NUMBER]
        self._signer = Ed25519PublicKey.from_public_bytes(ticket[_GENERATION + NUMBER + KEY :])
        self._replay_guard = ReplayGuard(int.from_bytes(number, "big"))

    def learn(self, ticket: bytes) -> None:
        """Add the key of a ticket, and keep the one before it: both may be in use.

        Raises:
            PeerError: The ticket is not valid.
        """
        if len(ticket) != _GENERATION + NUMBER + 2 * KEY:
            raise PeerError(f"a ticket of {len(ticket)} bytes is not valid", len(ticket))
        key = ticket[_GENERATION + NUMBER :][:KEY]
        self._ciphers[int.from_bytes(ticket[:_GENERATION], "big")] = _cipher(key)
        for old in sorted(self._ciphers)[:-2]:
            del self._ciphers[old]

    def open(self, data: bytes) -> bytes:
        """Check and decrypt a message from the sender.

        Raises:
            PeerError: The message is not the sender's, or was received before.
        """
        from cryptography.exceptions import InvalidSignature

        made, signature = data[:-_SIGNATURE], data[-_SIGNATURE:]
        try:
            self._signer.verify(signature, made)
        except InvalidSignature:
            raise PeerError(
                "a message to the audience is not signed by the sender", len(data)
            ) from None
        generation = int.from_bytes(made[:_GENERATION], "big")
        cipher = self._ciphers.get(generation)
        if cipher is None:
            raise PeerError(f"the audience's key of generation {generation} is unknown", generation)
        return _decrypted(cipher, self._replay_guard, made[_GENERATION:])


def _new_key() -> bytes:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    return AESGCM.generate_key(8 * KEY)


def _cipher(key: bytes) -> AESGCM:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    return AESGCM(key)


def _encrypted(cipher: AESGCM, number: int, data: bytes) -> bytes:
    return number.to_bytes(NUMBER, "big") + cipher.encrypt(number.to_bytes(12, "big"), data, None)


def _decrypted(cipher: AESGCM, guard: ReplayGuard, data: bytes) -> bytes:
    from cryptography.exceptions import InvalidTag

    if len(data) > MAX_MESSAGE + 2048:
        raise PeerError(f"a message of {len(data)} bytes is too long", len(data))
    number = int.from_bytes(data[:NUMBER], "big")
    if not guard.is_new(number):
        raise PeerError(f"message {number} was received before, or is too old", number)
    try:
        opened = cipher.decrypt(number.to_bytes(12, "big"), data[NUMBER:], None)
    except (InvalidTag, ValueError):
        raise PeerError("a message is not the peer's", len(data)) from None
    guard.record(number)
    return opened
