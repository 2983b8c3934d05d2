"""Passwords of the web server's users: scrypt (RFC 7914), with its parameters beside each hash."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import unicodedata

import msgspec

from ..errors import UsageError

#: scrypt's parameters of new hashes: 32 MiB, and 0.3 s of one processor.
COST, BLOCK, PARALLEL = 1 << 15, 8, 3
#: Characters of a password. At most some guesses a second are possible, so no list of common
#: passwords gets through twelve characters.
MIN_LENGTH, MAX_LENGTH = 12, 256
_SALT_BYTES, _HASH_BYTES = 16, 32


class PasswordHash(msgspec.Struct, frozen=True):
    """The hash of one password.

    Attributes:
        salt: Random bytes.
        hash: Of the password.
        cost: scrypt's N.
        block: scrypt's r.
        parallel: scrypt's p.
    """

    salt: bytes
    hash: bytes
    cost: int
    block: int
    parallel: int


#: Compared with the passwords of unknown users, so that they take as long as those of known ones.
_NOBODY = PasswordHash(bytes(_SALT_BYTES), bytes(_HASH_BYTES), COST, BLOCK, PARALLEL)


def hash_password(password: str) -> PasswordHash:
    """Return the hash of a new password.

    Raises:
        UsageError: It is too short or too long.
    """
    if not MIN_LENGTH <= len(password) <= MAX_LENGTH:
        raise UsageError(
            f"a password has {MIN_LENGTH} to {MAX_LENGTH} characters, not {len(password)}"
        )
    salt = secrets.token_bytes(_SALT_BYTES)
    return PasswordHash(salt, _scrypt(password, salt, COST, BLOCK, PARALLEL), COST, BLOCK, PARALLEL)


def is_right(password: str, stored: PasswordHash | None) -> bool:
    """Return whether a password is the stored one. It takes as long for None, which is nobody's."""
    one = stored or _NOBODY
    if len(password) > MAX_LENGTH:
        password = ""
    found = _scrypt(password, one.salt, one.cost, one.block, one.parallel)
    return hmac.compare_digest(found, one.hash) and stored is not None


def _scrypt(password: str, salt: bytes, cost: int, block: int, parallel: int) -> bytes:
    # The same characters from every keyboard: "é" is one code point or two.
    data = unicodedata.normalize("NFC", password).encode("utf-8", "surrogatepass")
    memory = 128 * block * (cost + parallel) + (1 << 20)
    return hashlib.scrypt(
        data, salt=salt, n=cost, r=block, p=parallel, maxmem=memory, dklen=_HASH_BYTES
    )
