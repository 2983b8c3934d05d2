"""SHELL: who is who: an authority of one's own, certificates of computers and of users, and roles.

A folder (by default ``trust`` beside kju's settings) holds, as PEM,

- ``authority.pem``: what both sides believe; ``authority.key`` where it was made;
- ``host.pem``, ``host.key``: this computer, as a sender or a router;
- ``user-NAME.pem``, ``user-NAME.key``: a user, as a viewer;
- ``roles.toml``: which users may do what here.

TLS lets nobody in without a certificate of the authority; what each session proves beyond that is
in `kju.remote.proof`. A user's certificate is not good for a sender or a router.

Keys are files of their owner (0600) and never leave the folder, but for those that are made for
somebody else: `bundle`, `host_bundle`.
"""

from __future__ import annotations

import contextlib
import datetime
import errno
import importlib.util
import os
import re
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from ..errors import FileError, MissingError, PeerError, UsageError
from ..files import Folder
from ..wire.messages import Role
from . import certificates
from .certificates import Issued
from .options import Tls

if TYPE_CHECKING:
    from cryptography import x509

USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}")
ROLES: tuple[Role, ...] = ("view", "control")
_MAGIC = b"kju wire 1"


def default_folder() -> Path:
    """Where this user's trust is."""
    import platformdirs

    return Path(os.environ.get("KJU_TRUST") or platformdirs.user_config_path("kju") / "trust")


Clock = Callable[[], datetime.datetime]


def _utc() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


class Proof(msgspec.Struct, frozen=True, array_like=True):
    """A certificate, and a signature that its key has made."""

    certificate: bytes
    signature: bytes


class Trust:
    """One folder of keys, certificates and roles.

    Args:
        folder: It need not be there yet.
        clock: What time it is.

    Raises:
        MissingError: The package cryptography is not installed.
    """

    def __init__(self, folder: Path, clock: Clock = _utc) -> None:
        if importlib.util.find_spec("cryptography") is None:
            raise MissingError("certificates need a package: pip install 'kju[remote]'")
        self.folder = folder
        self._clock = clock

    # ---- making ----

    def make_authority(self, name: str) -> None:
        """An authority of one's own.

        Raises:
            UsageError: There is one.
        """
        self._add("authority", certificates.make_authority(name, self._clock()))

    def make_host(self, name: str, addresses: Sequence[str]) -> None:
        """A certificate for this computer, in place of one that it has.

        Args:
            name: What it is called.
            addresses: The names and addresses by which others connect to it.

        Raises:
            UsageError: There is no authority's key here, or a name is none.
        """
        made = self._issue(name, addresses or [name], host=True)
        self._write("host", made.public, made.secret)

    def host_bundle(self, name: str, addresses: Sequence[str]) -> bytes:
        """What another computer needs to serve or to route, in one piece: see `take_bundle`.

        Raises:
            UsageError: There is no authority's key here, or a name is none.
        """
        made = self._issue(name, addresses or [name], host=True)
        return self._read("authority.pem") + made.public + made.secret

    def make_user(self, name: str) -> None:
        """A certificate for a user, to be given to that user: see `bundle`.

        Raises:
            UsageError: There is one, or no authority's key, or the name is none.
        """
        _check_user(name)
        self._add(f"user-{name}", self._issue(name, [name], host=False))

    def forget(self, user: str) -> None:
        """Remove the key and the certificate of a user before they were handed out.

        Raises:
            FileError: They could not be removed.
        """
        with self._open() as folder, folder.lock():
            for name in _pair(f"user-{user}", b"", b""):
                folder.remove(name)

    def _issue(self, name: str, addresses: Sequence[str], *, host: bool) -> Issued:
        authority = self._authority()
        by = Issued(certificates.read_key(self._read("authority.key")), authority)
        return certificates.issue(by, name, addresses, self._clock(), host=host)

    def _add(self, stem: str, made: Issued) -> None:
        key = self.folder / f"{stem}.key"
        if key.exists():
            raise UsageError(f"{key} is there already; remove it first to make another")
        self._write(stem, made.public, made.secret)

    def _write(self, stem: str, public: bytes, secret: bytes) -> None:
        """Keep a certificate and its key, in place of what was there: both, or none."""
        self._write_all(_pair(stem, public, secret))

    def _write_all(self, files: dict[str, tuple[bytes, int]]) -> None:
        with self._open(create=True) as folder, folder.lock():
            folder.sweep()
            folder.write_all(files)

    def _open(self, *, create: bool = False) -> Folder:
        """Open the folder. Its files decide who may do what, so only its owner may change it.

        Raises:
            FileError: It is missing, another user's, or others may write in it.
        """
        return Folder.open(self.folder, create=create, follow_own_link=True)

    def bundle(self, user: str) -> bytes:
        """What a user needs, in one piece: the authority, the user's certificate and key.

        Raises:
            UsageError: There is no such user.
        """
        parts = ("authority.pem", f"user-{user}.pem", f"user-{user}.key")
        return b"".join(self._read(part) for part in parts)

    def take_bundle(self, data: bytes) -> tuple[str, bool]:
        """Keep what `bundle` or `host_bundle` has made somewhere else.

        Returns:
            The name of the user or the host, and whether it is a host.

        Raises:
            UsageError: It is no bundle, or there is something else here.
        """
        blocks = re.findall(rb"-----BEGIN [^-]+-----.*?-----END [^-]+-----\n", data, re.DOTALL)
        if len(blocks) != 3 or b"PRIVATE KEY" not in blocks[2]:
            raise UsageError("this is no key as kju cert user and kju cert host make it")
        public, key = certificates.read(blocks[1]), certificates.read_key(blocks[2])
        try:
            public.verify_directly_issued_by(certificates.read(blocks[0]))
        except Exception as error:
            raise UsageError("this certificate is not of the authority beside it") from error
        if public.public_key() != key.public_key():
            raise UsageError("this key is not the one of the certificate beside it")
        name, host = certificates.name_of(public), certificates.is_host(public)
        if not host:
            _check_user(name)
        authority = self.folder / "authority.pem"
        if authority.exists() and authority.read_bytes() != blocks[0]:
            raise UsageError(f"{authority} is another authority's: choose another folder")
        pair = _pair("host" if host else f"user-{name}", blocks[1], blocks[2])
        self._write_all({**pair, authority.name: (blocks[0], 0o644)})
        return name, host

    # ---- roles ----

    def roles(self) -> dict[str, Role]:
        """Which users may do what here.

        Raises:
            UsageError: The file is not right.
        """
        path = self.folder / "roles.toml"
        try:
            with self._open() as folder:
                found = tomllib.loads(folder.read(path.name).decode())
        except FileError as error:
            if error.errno == errno.ENOENT:
                return {}
            raise UsageError(str(error)) from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
            raise UsageError(f"{path}: {error}") from error
        for user, role in found.items():
            _check_user(user)
            if role not in ROLES:
                raise UsageError(f'{path}: the role of {user} is "view" or "control", not {role!r}')
        return found

    def set_role(self, user: str, role: Role | None) -> None:
        """Let a user do this here from now on; None for nothing.

        Raises:
            UsageError: The name is none.
        """
        _check_user(user)
        # Two that change roles at the same time wait for each other, so that both changes count.
        with self._open(create=True) as folder, folder.lock():
            roles = {**self.roles(), user: role}
            given = sorted((name, role) for name, role in roles.items() if role)
            text = "".join(f'"{name}" = "{role}"\n' for name, role in given)
            folder.write("roles.toml", text.encode())

    # ---- proving ----

    def tls(self, user: str = "") -> Tls:
        """The files for a session: this computer's own, or a user's.

        Raises:
            UsageError: There are none.
        """
        stem = f"user-{user}" if user else "host"
        for name in ("authority.pem", f"{stem}.pem", f"{stem}.key"):
            self._read(name)
        return Tls(*(str(self.folder / f) for f in ("authority.pem", f"{stem}.pem", f"{stem}.key")))

    @property
    def is_host(self) -> bool:
        """Whether this computer has a certificate to serve with."""
        return (self.folder / "host.key").exists()

    def sign(self, stem: str, *said: bytes) -> bytes:
        """A proof over these words.

        Raises:
            UsageError: There is no such key.
        """
        from cryptography.hazmat.primitives.serialization import Encoding

        certificate = certificates.read(self._read(f"{stem}.pem"))
        key = certificates.read_key(self._read(f"{stem}.key"))
        made = Proof(certificate.public_bytes(Encoding.DER), key.sign(words(said)))
        return msgspec.msgpack.encode(made)

    def verify(self, proof: bytes, *said: bytes, host: bool) -> str:
        """The name that a proof over these words proves.

        Args:
            proof: What `sign` has made somewhere.
            said: The words.
            host: Whether it must be a host's; else it must be a user's.

        Raises:
            PeerError: It proves nothing; the words say why.
        """
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

        try:
            given = msgspec.msgpack.decode(proof, type=Proof)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise PeerError(f"the certificate is none: {error}"[:300]) from error
        certificate = certificates.from_peer(given.certificate, self._authority())
        certificates.check_time(certificate, self._clock())
        name = certificates.name_of(certificate)
        if certificates.is_host(certificate) is not host:
            kind = "a user's and not a host's" if host else "a host's and not a user's"
            raise PeerError(f"the certificate of {name} is {kind}")
        key = certificate.public_key()
        if not isinstance(key, Ed25519PublicKey):
            raise PeerError("the certificate's key is not Ed25519")
        try:
            key.verify(given.signature, words(said))
        except InvalidSignature:
            raise PeerError(
                f"the signature is not {name}'s, or belongs to another session"
            ) from None
        return name

    # ---- files ----

    def _read(self, name: str) -> bytes:
        try:
            with self._open() as folder:
                return folder.read(name, secret=name.endswith(".key"))
        except FileError as error:
            if error.errno != errno.ENOENT:
                raise
            how = {
                "authority.pem": "kju cert authority, or kju cert take FILE",
                "authority.key": "make certificates where the authority was made",
                "host.pem": "kju cert host, or kju cert take FILE",
                "host.key": "kju cert host, or kju cert take FILE",
            }.get(name, "kju cert user NAME, or kju cert take FILE")  # fmt: skip
            raise UsageError(f"there is no {self.folder / name}: {how}") from None

    def _authority(self) -> x509.Certificate:
        return certificates.read(self._read("authority.pem"))

    def unnamed(self, addresses: Sequence[str]) -> list[str]:
        """Which of these this computer's certificate does not name: viewers would refuse it there.

        Raises:
            UsageError: There is none.
        """
        return certificates.unnamed(certificates.read(self._read("host.pem")), addresses)

    def listed(self) -> list[tuple[str, str, datetime.datetime]]:
        """Every certificate here: file, name, last day."""
        found = []
        for path in sorted(self.folder.glob("*.pem")):
            with contextlib.suppress(UsageError, FileError):
                made = certificates.read(self._read(path.name))
                found.append((path.stem, certificates.name_of(made), made.not_valid_after_utc))
        return found


def _pair(stem: str, public: bytes, secret: bytes) -> dict[str, tuple[bytes, int]]:
    """The files of a certificate and its key."""
    return {f"{stem}.key": (secret, 0o600), f"{stem}.pem": (public, 0o644)}


def words(said: Sequence[bytes]) -> bytes:
    """Several words as one, so that no others are the same bytes."""
    return _MAGIC + b"".join(len(word).to_bytes(4, "big") + word for word in said)


def _check_user(name: str) -> None:
    if not USER.fullmatch(name):
        raise UsageError(f"{name!r} is no user's name: letters, digits, _ . and -, 64 at most")
