"""SHELL: authentication and roles from a trust folder (`kju.remote.trust_folder`).

TLS rejects peers without a certificate of the authority. Beyond that, each session authenticates
both ends (`kju.remote.proof`): a sender needs a host certificate, a viewer a user certificate. A
router's certificate proves neither.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from ..errors import FileError, KjuError, LimitError, PeerError, UsageError
from ..protocol.values import ROLES, Role
from . import certificates
from .addresses import Tls
from .certificates import Kind
from .key_lists import (
    DENIED_FILE,
    SEEN_FILE,
    SeenKeys,
    change_list,
    deny_key,
    encode_list,
    read_denied,
    read_list,
)
from .trust_folder import TrustFolder, check_user

if TYPE_CHECKING:
    from cryptography import x509

log = logging.getLogger(__name__)
_MAGIC = b"kju wire 1"


def default_folder() -> Path:
    """Return this user's trust folder."""
    import platformdirs

    return Path(os.environ.get("KJU_TRUST") or platformdirs.user_config_path("kju") / "trust")


class _SignedProof(msgspec.Struct, frozen=True, array_like=True):
    """A certificate, and a signature by its key."""

    certificate: bytes
    signature: bytes


class AuthenticatedPeer(NamedTuple):
    """An authenticated user or host.

    Attributes:
        name: The certificate's common name.
        key: The fingerprint of the public key.
        certificate: The certificate.
    """

    name: str
    key: str
    certificate: x509.Certificate


class Trust(TrustFolder):
    """A trust folder with the roles of its users, which authenticates sessions."""

    # ---- roles ----

    def roles(self) -> dict[str, Role]:
        """Return the roles of the users on this computer.

        Raises:
            UsageError: The file is not valid.
        """
        return self._parsed("roles.toml", self._read_roles)

    def _read_roles(self) -> dict[str, Role]:
        path = self.folder / "roles.toml"
        try:
            with self._open() as folder:
                found = tomllib.loads(folder.read(path.name).decode())
        except FileError as error:
            if error.errno == errno.ENOENT:
                return {}
            raise UsageError(str(error)) from error
        except LimitError as error:
            raise UsageError(str(error)) from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
            raise UsageError(f"{path}: {error}") from error
        for user, role in found.items():
            check_user(user)
            if role not in ROLES:
                raise UsageError(
                    f'{path}: the role {role!r} of {user} is unknown: write "view" or "control"'
                )
        return found

    def known_users(self) -> set[str]:
        """Return the users with a key here: a certificate, or an earlier session."""
        users = set(read_list(self.folder / SEEN_FILE, SeenKeys).keys.values())
        return users | {name for stem, name, _, _ in self.listed() if stem.startswith("user-")}

    def set_role(self, user: str, role: Role | None) -> None:
        """Set the role of a user on this computer; None removes it.

        Raises:
            UsageError: The name is not valid.
        """
        check_user(user)
        # Two processes that change roles at the same time wait for each other: no change is lost.
        with self._open(create=True) as folder, folder.lock():
            roles = {**self.roles(), user: role}
            folder.write("roles.toml", _roles_text(roles))

    def remove(self, user: str) -> None:
        """Remove a user's role, and deny all certificates of the user that exist now.

        A certificate of this name that is created later is valid.

        Raises:
            UsageError: The name is not valid, or a file cannot be written.
        """
        check_user(user)
        with self._open(create=True) as folder, folder.lock():
            held = read_denied(self.folder)
            seen = read_list(self.folder / SEEN_FILE, SeenKeys).keys
            keys = {key for key, name in seen.items() if name == user}
            with contextlib.suppress(UsageError):
                keys.add(certificates.fingerprint(self._certificate(f"user-{user}")))
            held.remove_user(user, keys, self._clock())
            roles = {name: role for name, role in self.roles().items() if name != user}
            # The denial is written first: a removed user must not keep a role after a crash.
            folder.write_all(
                {
                    DENIED_FILE: (encode_list(held), 0o600),
                    "roles.toml": (_roles_text(roles), 0o600),
                }
            )

    def deny(self, key: str, name: str = "") -> None:
        """Deny the key of a user or a host.

        Router keys never reach this computer's checks, so denying one has no effect.

        Raises:
            UsageError: The key is not a fingerprint, or the file cannot be written.
        """
        deny_key(self.folder, key, name)

    # ---- authentication ----

    def tls(self, user: str = "", kind: Kind = "host") -> Tls:
        """Return the files for a session: a user's, or this computer's as a host or a router.

        Raises:
            UsageError: A file is missing, or the key does not belong to the certificate.
        """
        stem = f"user-{user}" if user else kind
        for name in ("authority.pem", f"{stem}.pem", f"{stem}.key"):
            self._read(name)
        if self._certificate(stem).public_key() != self._key(stem).public_key():
            again = f"kju trust {user} --remove, then kju cert user {user}" if user else ""
            raise UsageError(
                f"{self.folder / stem}.key is not the key of {stem}.pem (an interrupted command?):"
                f" create both again: {again or f'kju cert {kind}'}, or kju cert take FILE"
            )
        return Tls(*(str(self.folder / f) for f in ("authority.pem", f"{stem}.pem", f"{stem}.key")))

    def sign(self, stem: str, *parts: bytes) -> bytes:
        """Return a proof over some bytes.

        Raises:
            UsageError: The key is missing.
        """
        from cryptography.hazmat.primitives.serialization import Encoding

        certificate, key = self._certificate(stem), self._key(stem)
        made = _SignedProof(certificate.public_bytes(Encoding.DER), key.sign(joined(parts)))
        return msgspec.msgpack.encode(made)

    def verify(self, proof: bytes, *parts: bytes, kind: Kind) -> AuthenticatedPeer:
        """Check a proof over some bytes, and return whose it is.

        Args:
            proof: The result of `sign` on another computer.
            parts: The bytes.
            kind: The required kind of certificate.

        Raises:
            PeerError: The proof is not valid.
        """
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

        try:
            given = msgspec.msgpack.decode(proof, type=_SignedProof)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise PeerError(f"not a valid proof: {error}"[:300]) from error
        certificate = certificates.from_peer(given.certificate, self._authority())
        name = certificates.name_of(certificate)
        if (found := certificates.kind_of(certificate)) != kind:
            raise PeerError(
                f"the certificate of {name} is for a {found}; a {kind} certificate is required"
            )
        who = AuthenticatedPeer(name, certificates.fingerprint(certificate), certificate)
        self.check(who)
        key = certificate.public_key()
        if not isinstance(key, Ed25519PublicKey):
            raise PeerError("the certificate's key is not Ed25519")
        try:
            key.verify(given.signature, joined(parts))
        except InvalidSignature:
            raise PeerError(f"the signature is not by {name}, or is for another session") from None
        return who

    def remember_key(self, who: AuthenticatedPeer) -> None:
        """Remember the key of an authenticated user, so that `remove` can deny it.

        A folder that cannot be written is logged. `remove` then denies by the dates of
        certificates.
        """
        path = self.folder / SEEN_FILE
        try:
            seen = self._parsed(path.name, lambda: read_list(path, SeenKeys))
            if seen.keys.get(who.key) != who.name:
                change_list(path, SeenKeys, lambda s: s.keys.update({who.key: who.name}))
        except KjuError as error:
            log.warning("cannot remember the key of %s: %s", who.name, error)

    def check(self, who: AuthenticatedPeer) -> None:
        """Check that a certificate is not expired and not denied.

        Raises:
            PeerError: It is expired or denied.
        """
        made = who.certificate
        certificates.check_time(made, self._clock())
        issued, user = certificates.issued_at(made), certificates.kind_of(made) == "user"
        try:
            held = self._denied()
        except (UsageError, FileError, LimitError) as error:
            log.warning("%s", error)
            raise PeerError("the sender cannot read its list of denied keys") from error
        held.check(who.name, who.key, issued, user=user)


def _roles_text(roles: Mapping[str, Role | None]) -> bytes:
    given = sorted((name, role) for name, role in roles.items() if role)
    return "".join(f'"{name}" = "{role}"\n' for name, role in given).encode()


def joined(parts: Sequence[bytes]) -> bytes:
    """Join byte strings, each with its length: no other byte strings give the same result."""
    return _MAGIC + b"".join(len(part).to_bytes(4, "big") + part for part in parts)
