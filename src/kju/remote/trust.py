"""SHELL: who is who: an authority of one's own, certificates of computers and of users, and roles.

A folder (by default ``trust`` beside kju's settings) holds, as PEM,

- ``authority.pem``: what both sides believe; ``authority.key`` where it was made;
- ``host.pem``, ``host.key``: this computer, as a sender;
- ``router.pem``, ``router.key``: this computer, as a router;
- ``user-NAME.pem``, ``user-NAME.key``: a user, as a viewer; where the certificate was made for
  somebody else, without the key;
- ``roles.toml``: which users may do what here;
- ``denied.json``: keys that are not valid any more (`kju.remote.denied`);
- ``senders.json``: who serves the screens that were mirrored (`kju.remote.known`).

TLS lets nobody in without a certificate of the authority; what each session proves beyond that is
in `kju.remote.proof`. Only a host's certificate proves a sender, only a user's a viewer; a
router's proves neither.

Keys are files of their owner (0600) and never leave the folder, but for those that are made for
somebody else: `user_bundle`, `host_bundle`.
"""

from __future__ import annotations

import contextlib
import datetime
import errno
import logging
import os
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar, cast

import msgspec

from .. import extras
from ..errors import FileError, KjuError, LimitError, PeerError, UsageError
from ..files import Folder
from ..wire.messages import Role
from . import certificates, denied, store
from .certificates import Issued, Kind
from .endpoints import Tls

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

log = logging.getLogger(__name__)
USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}")
ROLES: tuple[Role, ...] = ("view", "control")
_MAGIC = b"kju wire 1"


def default_folder() -> Path:
    """Where this user's trust is."""
    import platformdirs

    return Path(os.environ.get("KJU_TRUST") or platformdirs.user_config_path("kju") / "trust")


_Parsed = TypeVar("_Parsed")
Clock = Callable[[], datetime.datetime]


def _utc() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


class Proof(msgspec.Struct, frozen=True, array_like=True):
    """A certificate, and a signature that its key has made."""

    certificate: bytes
    signature: bytes


class Identity(NamedTuple):
    """Somebody who has proved who that is.

    Attributes:
        name: The certificate's common name.
        key: The fingerprint of the public key.
        certificate: The certificate.
    """

    name: str
    key: str
    certificate: x509.Certificate


class Trust:
    """One folder of keys, certificates and roles.

    Args:
        folder: It need not be there yet.
        clock: What time it is.

    Raises:
        MissingError: The extra ``remote`` is not installed.
    """

    def __init__(self, folder: Path, clock: Clock = _utc) -> None:
        extras.require("remote", "a certificate", only="cryptography")
        self.folder = folder
        self._clock = clock
        self._cache: dict[str, tuple[object, object]] = {}

    # ---- making ----

    def make_authority(self, name: str) -> None:
        """An authority of one's own.

        Raises:
            UsageError: There is one.
        """
        self._add("authority", certificates.make_authority(name, self._clock()))

    def make_host(self, name: str, addresses: Sequence[str]) -> None:
        """Make or renew this computer's certificate as a host; a key that is not denied stays.

        Viewers know a sender by its key: they need not accept a renewed certificate.

        Args:
            name: What it is called.
            addresses: The names and addresses by which others connect to it.

        Raises:
            UsageError: There is no authority's key here, or a name is none.
        """
        self._make("host", name, addresses)

    def make_router(self, name: str, addresses: Sequence[str]) -> None:
        """Make or renew this computer's certificate as a router: see `make_host`.

        Raises:
            UsageError: There is no authority's key here, or a name is none.
        """
        self._make("router", name, addresses)

    def _make(self, kind: Kind, name: str, addresses: Sequence[str]) -> None:
        key = None
        if (self.folder / f"{kind}.key").exists() and not self._is_denied(f"{kind}.pem"):
            key = certificates.read_key(self._read(f"{kind}.key"))
        made = self._issue(name, addresses or [name], kind, key)
        self._write(kind, made.public, made.secret)

    def host_bundle(self, name: str, addresses: Sequence[str], kind: Kind = "host") -> bytes:
        """What another computer needs to serve, or to route, in one piece: see `take_bundle`.

        Raises:
            UsageError: There is no authority's key here, or a name is none.
        """
        made = self._issue(name, addresses or [name], kind)
        return self._read("authority.pem") + made.public + made.secret

    def make_user(self, name: str) -> None:
        """Make a certificate and a key for a user of this folder.

        Raises:
            UsageError: There is one that is valid, or no authority's key, or the name is none.
        """
        made = self._new_user(name)
        self._write(f"user-{name}", made.public, made.secret)

    def user_bundle(self, name: str) -> bytes:
        """Make a user's certificate for another folder: see `take_bundle`.

        Only the certificate stays here; the key is in the result and nowhere else.

        Raises:
            UsageError: There is one that is valid, or no authority's key, or the name is none.
        """
        made = self._new_user(name)
        authority = self._read("authority.pem")
        self._write_all({f"user-{name}.pem": (made.public, 0o644)})
        return authority + made.public + made.secret

    def _new_user(self, name: str) -> Issued:
        _check_user(name)
        made = self._issue(name, [name], "user")
        if not self._is_denied(f"user-{name}.pem"):
            self._check_new(f"user-{name}.pem", f"kju trust {name} --remove denies it")
        return made

    def forget(self, user: str) -> None:
        """Remove the key and the certificate of a user before they were handed out.

        Raises:
            FileError: They could not be removed.
        """
        with self._open() as folder, folder.lock():
            for name in _pair(f"user-{user}", b"", b""):
                folder.remove(name)

    def _issue(
        self, name: str, addresses: Sequence[str], kind: Kind, key: Ed25519PrivateKey | None = None
    ) -> Issued:
        authority = self._authority()
        by = Issued(certificates.read_key(self._read("authority.key")), authority)
        return certificates.issue(by, name, addresses, self._clock(), kind, key)

    def _add(self, stem: str, made: Issued) -> None:
        self._check_new(f"{stem}.key", "remove it")
        self._write(stem, made.public, made.secret)

    def _check_new(self, name: str, how: str) -> None:
        path = self.folder / name
        if path.exists():
            raise UsageError(f"{path} is there already; to make another: {how} first")

    def _write(self, stem: str, public: bytes, secret: bytes) -> None:
        """Keep a certificate and its key, in place of what was there; `tls` checks both."""
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

    def take_bundle(self, data: bytes) -> tuple[str, Kind]:
        """Keep what `user_bundle` or `host_bundle` has made somewhere else.

        Returns:
            The name of the user, the host or the router, and which of these it is.

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
        name, kind = certificates.name_of(public), certificates.kind_of(public)
        if kind == "user":
            _check_user(name)
        authority = self.folder / "authority.pem"
        if authority.exists() and self._read(authority.name) != blocks[0]:
            raise UsageError(f"{authority} is another authority's: choose another folder")
        pair = _pair(f"user-{name}" if kind == "user" else kind, blocks[1], blocks[2])
        self._write_all({**pair, authority.name: (blocks[0], 0o644)})
        return name, kind

    # ---- roles ----

    def roles(self) -> dict[str, Role]:
        """Which users may do what here.

        Raises:
            UsageError: The file is not right.
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
            folder.write("roles.toml", _roles_text(roles))

    def remove(self, user: str) -> None:
        """Remove a user's role, and deny every certificate of the user that was made before now.

        A certificate of this name that is made later is valid.

        Raises:
            UsageError: The name is none, or a file cannot be written.
        """
        _check_user(user)
        with self._open(create=True) as folder, folder.lock():
            held = denied.read(self.folder)
            seen = store.read(self.folder / denied.SEEN, denied.Seen).keys
            keys = {key for key, name in seen.items() if name == user}
            with contextlib.suppress(UsageError):
                keys.add(certificates.fingerprint(self._certificate(f"user-{user}")))
            held.remove_user(user, keys, self._clock())
            roles = {name: role for name, role in self.roles().items() if name != user}
            # Denied first: a removed user must not look like one who still has a role.
            folder.write_all(
                {
                    denied.FILE: (store.encoded(held), 0o600),
                    "roles.toml": (_roles_text(roles), 0o600),
                }
            )

    def deny(self, key: str, name: str = "") -> None:
        """Deny the key of a user or a host, by its fingerprint.

        A router's is never seen here: nothing of it is denied.

        Raises:
            UsageError: It is no fingerprint, or the file cannot be written.
        """
        denied.deny_key(self.folder, key, name)

    def _denied(self) -> denied.Denied:
        return self._parsed(denied.FILE, lambda: denied.read(self.folder))

    def _is_denied(self, name: str) -> bool:
        """Whether a certificate here is missing or denied."""
        try:
            found = certificates.read(self._read(name))
        except UsageError:
            return True
        return certificates.fingerprint(found) in self._denied().keys

    # ---- proving ----

    def tls(self, user: str = "", kind: Kind = "host") -> Tls:
        """The files for a session: a user's, or this computer's own as a host or a router.

        Raises:
            UsageError: There are none, or the key is not the one of the certificate.
        """
        stem = f"user-{user}" if user else kind
        for name in ("authority.pem", f"{stem}.pem", f"{stem}.key"):
            self._read(name)
        if self._certificate(stem).public_key() != self._key(stem).public_key():
            again = f"kju trust {user} --remove, then kju cert user {user}" if user else ""
            raise UsageError(
                f"{self.folder / stem}.key is not the key of {stem}.pem: a command that writes both"
                f" was interrupted; make both anew: {again or f'kju cert {kind}'}, or kju cert"
                " take FILE"
            )
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

        certificate, key = self._certificate(stem), self._key(stem)
        made = Proof(certificate.public_bytes(Encoding.DER), key.sign(words(said)))
        return msgspec.msgpack.encode(made)

    def verify(self, proof: bytes, *said: bytes, kind: Kind) -> Identity:
        """Return who has made a proof over these words.

        Args:
            proof: What `sign` has made somewhere.
            said: The words.
            kind: Whose it must be.

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
        name = certificates.name_of(certificate)
        if (found := certificates.kind_of(certificate)) != kind:
            raise PeerError(f"the certificate of {name} is a {found}'s and not a {kind}'s")
        who = Identity(name, certificates.fingerprint(certificate), certificate)
        self.check(who)
        key = certificate.public_key()
        if not isinstance(key, Ed25519PublicKey):
            raise PeerError("the certificate's key is not Ed25519")
        try:
            key.verify(given.signature, words(said))
        except InvalidSignature:
            raise PeerError(
                f"the signature is not {name}'s, or belongs to another session"
            ) from None
        return who

    def note(self, who: Identity) -> None:
        """Remember the key that a user has proved to have, so that `remove` can deny it.

        Where this folder cannot be written that is logged: `remove`, which writes in it, then
        denies by the times of certificates.
        """
        path = self.folder / denied.SEEN
        try:
            seen = self._parsed(path.name, lambda: store.read(path, denied.Seen))
            if seen.keys.get(who.key) != who.name:
                store.change(path, denied.Seen, lambda s: s.keys.update({who.key: who.name}))
        except KjuError as error:
            log.warning("the key of %s is not remembered: %s", who.name, error)

    def check(self, who: Identity) -> None:
        """Check that a certificate is valid now: not expired, and not denied here.

        Raises:
            PeerError: It is not.
        """
        made = who.certificate
        certificates.check_time(made, self._clock())
        issued, user = certificates.issued_at(made), certificates.kind_of(made) == "user"
        try:
            held = self._denied()
        except (UsageError, FileError, LimitError) as error:
            log.warning("%s", error)
            raise PeerError("the list of denied keys cannot be read") from error
        held.check(who.name, who.key, issued, user=user)

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
                "router.pem": "kju cert router, or kju cert take FILE",
                "router.key": "kju cert router, or kju cert take FILE",
            }.get(name, "kju cert user NAME, or kju cert take FILE")  # fmt: skip
            raise UsageError(f"there is no {self.folder / name}: {how}") from None

    def _authority(self) -> x509.Certificate:
        return self._certificate("authority")

    def _certificate(self, stem: str) -> x509.Certificate:
        name = f"{stem}.pem"
        return self._parsed(name, lambda: certificates.read(self._read(name)))

    def _key(self, stem: str) -> Ed25519PrivateKey:
        name = f"{stem}.key"
        return self._parsed(name, lambda: certificates.read_key(self._read(name)))

    def _parsed(self, name: str, parse: Callable[[], _Parsed]) -> _Parsed:
        """Return the parsed content of a file, from the cache while the file is unchanged."""
        try:
            found = (self.folder / name).stat()
            state = found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
        except OSError:
            return parse()
        cached = self._cache.get(name)
        if cached is None or cached[0] != state:
            cached = self._cache[name] = state, parse()
        return cast("_Parsed", cached[1])

    def unnamed(self, addresses: Sequence[str], kind: Kind = "host") -> list[str]:
        """Which of these this computer's certificate does not name: viewers would refuse it there.

        Raises:
            UsageError: There is none.
        """
        return certificates.unnamed(certificates.read(self._read(f"{kind}.pem")), addresses)

    def listed(self) -> list[tuple[str, str, datetime.datetime, str]]:
        """Every certificate here: file, name, last day, the key's fingerprint."""
        found = []
        for path in sorted(self.folder.glob("*.pem")):
            with contextlib.suppress(UsageError, FileError, LimitError):
                made = certificates.read(self._read(path.name))
                name, end = certificates.name_of(made), made.not_valid_after_utc
                found.append((path.stem, name, end, certificates.fingerprint(made)))
        return found


def _pair(stem: str, public: bytes, secret: bytes) -> dict[str, tuple[bytes, int]]:
    """The files of a certificate and its key."""
    return {f"{stem}.key": (secret, 0o600), f"{stem}.pem": (public, 0o644)}


def _roles_text(roles: Mapping[str, Role | None]) -> bytes:
    given = sorted((name, role) for name, role in roles.items() if role)
    return "".join(f'"{name}" = "{role}"\n' for name, role in given).encode()


def words(said: Sequence[bytes]) -> bytes:
    """Several words as one, so that no others are the same bytes."""
    return _MAGIC + b"".join(len(word).to_bytes(4, "big") + word for word in said)


def _check_user(name: str) -> None:
    if not USER.fullmatch(name):
        raise UsageError(f"{name!r} is no user's name: letters, digits, _ . and -, 64 at most")
