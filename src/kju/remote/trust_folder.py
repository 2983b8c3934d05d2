"""SHELL: the files of a trust folder: certificates and keys, created, read and imported.

A folder (by default ``trust`` beside kju's settings) contains, as PEM,

- ``authority.pem``: the certificate of the authority; ``authority.key`` where it was created;
- ``host.pem``, ``host.key``: this computer as a sender;
- ``router.pem``, ``router.key``: this computer as a router;
- ``web.pem``, ``web.key``: this computer as a web server, for browsers;
- ``user-NAME.pem``, ``user-NAME.key``: a user; without the key if the certificate was created for
  another computer;
- ``roles.toml``: the roles of users on this computer;
- ``denied.json``: denied keys, ``seen.json``: keys of users, ``senders.json``: the known senders of
  mirrored screens (`kju.remote.key_lists`).

Private keys are readable by their owner only (0600). They leave the folder only in bundles for
other computers.
"""

from __future__ import annotations

import contextlib
import datetime
import errno
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, cast

from .. import extras
from ..errors import FileError, LimitError, UsageError
from ..files import Folder
from . import certificates
from .certificates import Issued, Kind
from .key_lists import DENIED_FILE, DeniedKeys, read_denied

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}")

_Parsed = TypeVar("_Parsed")
Clock = Callable[[], datetime.datetime]


def _utc_now() -> datetime.datetime:
    """Return the present time in UTC."""
    return datetime.datetime.now(datetime.UTC)


class TrustFolder:
    """The files of one trust folder.

    Args:
        folder: The folder; it may be missing.
        clock: Returns the present time.

    Raises:
        MissingError: The extra ``remote`` is not installed.
    """

    def __init__(self, folder: Path, clock: Clock = _utc_now) -> None:
        extras.require("remote", "a certificate", only="cryptography")
        self.folder = folder
        self._clock = clock
        self._cache: dict[str, tuple[object, object]] = {}

    @property
    def is_host(self) -> bool:
        """True if this computer has a host certificate."""
        return (self.folder / "host.key").exists()

    def unnamed(self, addresses: Sequence[str], kind: Kind = "host") -> list[str]:
        """Return the addresses that this computer's certificate lacks.

        Viewers that connect to them reject the certificate.

        Raises:
            UsageError: The certificate is missing.
        """
        return certificates.unnamed(certificates.read(self._read(f"{kind}.pem")), addresses)

    def listed(self) -> list[tuple[str, str, datetime.datetime, str]]:
        """Return the file, name, end and key fingerprint of every certificate."""
        found = []
        for path in sorted(self.folder.glob("*.pem")):
            with contextlib.suppress(UsageError, FileError, LimitError):
                made = certificates.read(self._read(path.name))
                name, end = certificates.name_of(made), made.not_valid_after_utc
                found.append((path.stem, name, end, certificates.fingerprint(made)))
        return found

    # ---- new certificates ----

    def make_authority(self, name: str) -> None:
        """Create an authority.

        Raises:
            UsageError: There is one already.
        """
        self._add("authority", certificates.make_authority(name, self._clock()))

    def make_host(self, name: str, addresses: Sequence[str], kind: Kind = "host") -> None:
        """Create or renew this computer's host or router certificate.

        A key that is not denied is kept: viewers know a sender by its key, so they need not accept
        a renewed certificate.

        Args:
            name: The name of the host.
            addresses: The host names and addresses to which others connect.
            kind: ``host`` or ``router``.

        Raises:
            UsageError: The key of the authority is missing, or a name is not valid.
        """
        key = None
        if (self.folder / f"{kind}.key").exists() and not self._is_denied(f"{kind}.pem"):
            key = certificates.read_key(self._read(f"{kind}.key"))
        made = self._issue(name, addresses or [name], kind, key)
        self._write(kind, made.public, made.secret)

    def make_web(self, addresses: Sequence[str]) -> Path:
        """Create or renew the certificate of this computer's web server; return its file.

        Args:
            addresses: The host names and addresses that browsers connect to.

        Raises:
            UsageError: A name is not valid.
        """
        self._write("web", *certificates.make_web(addresses, self._clock()))
        return self.folder / "web.pem"

    def host_bundle(self, name: str, addresses: Sequence[str], kind: Kind = "host") -> bytes:
        """Create a host or router certificate for another computer: see `import_bundle`.

        Raises:
            UsageError: The key of the authority is missing, or a name is not valid.
        """
        made = self._issue(name, addresses or [name], kind)
        return self._read("authority.pem") + made.public + made.secret

    def user_bundle(self, name: str) -> bytes:
        """Create a user's certificate for another folder: see `import_bundle`.

        Only the certificate stays here; the key is only in the result.

        Raises:
            UsageError: The user has a valid one, the authority's key is missing, or the name is not
                valid.
        """
        check_user(name)
        made = self._issue(name, [name], "user")
        if not self._is_denied(f"user-{name}.pem"):
            self._check_new(f"user-{name}.pem", f"deny it with kju trust {name} --remove")
        authority = self._read("authority.pem")
        self._write_all({f"user-{name}.pem": (made.public, 0o644)})
        return authority + made.public + made.secret

    def forget(self, user: str) -> None:
        """Remove the key and the certificate of a user that were not handed out.

        Raises:
            FileError: They could not be removed.
        """
        with self._open() as folder, folder.lock():
            for name in _pair_files(f"user-{user}", b"", b""):
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
            raise UsageError(f"{path} exists; to create another one, first {how}")

    def import_bundle(self, data: bytes) -> tuple[str, Kind]:
        """Import a bundle that `user_bundle` or `host_bundle` created on another computer.

        Returns:
            The name in the certificate, and its kind.

        Raises:
            UsageError: The data is not a bundle, or the folder has another authority.
        """
        blocks = re.findall(rb"-----BEGIN [^-]+-----.*?-----END [^-]+-----\n", data, re.DOTALL)
        if len(blocks) != 3 or b"PRIVATE KEY" not in blocks[2]:
            raise UsageError(
                "this file has no key; name one that was made with --output by kju cert user, host"
                " or router"
            )
        public, key = certificates.read(blocks[1]), certificates.read_key(blocks[2])
        try:
            public.verify_directly_issued_by(certificates.read(blocks[0]))
        except Exception as error:
            raise UsageError(
                "the certificate was not issued by the authority in this file"
            ) from error
        if public.public_key() != key.public_key():
            raise UsageError("the key does not belong to the certificate in this file")
        name, kind = certificates.name_of(public), certificates.kind_of(public)
        if kind == "user":
            check_user(name)
        authority = self.folder / "authority.pem"
        if authority.exists() and self._read(authority.name) != blocks[0]:
            raise UsageError(f"{authority} belongs to another authority: choose another folder")
        pair = _pair_files(f"user-{name}" if kind == "user" else kind, blocks[1], blocks[2])
        self._write_all({**pair, authority.name: (blocks[0], 0o644)})
        return name, kind

    # ---- files ----

    def _write(self, stem: str, public: bytes, secret: bytes) -> None:
        """Write a certificate and its key, replacing older ones."""
        self._write_all(_pair_files(stem, public, secret))

    def _write_all(self, files: dict[str, tuple[bytes, int]]) -> None:
        with self._open(create=True) as folder, folder.lock():
            folder.sweep()
            folder.write_all(files)

    def _open(self, *, create: bool = False) -> Folder:
        """Open the folder. Its files decide about access, so only its owner may write to it.

        Raises:
            FileError: It is missing, belongs to another user, or other users may write to it.
        """
        return Folder.open(self.folder, create=create, follow_own_link=True)

    def _read(self, name: str) -> bytes:
        try:
            with self._open() as folder:
                return folder.read(name, secret=name.endswith(".key"))
        except FileError as error:
            if error.errno != errno.ENOENT:
                raise
            if name == "authority.key":
                how = "make certificates on the computer that has the authority's key"
            else:
                kind = name.partition(".")[0]
                made = kind if kind in ("authority", "host", "router") else "user NAME"
                how = f"make it with kju cert {made}, or install it with kju cert take FILE"
            raise UsageError(f"{self.folder / name} is missing: {how}") from None

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

    def _denied(self) -> DeniedKeys:
        return self._parsed(DENIED_FILE, lambda: read_denied(self.folder))

    def _is_denied(self, name: str) -> bool:
        """Return whether a certificate is missing or denied."""
        try:
            found = certificates.read(self._read(name))
        except UsageError:
            return True
        return certificates.fingerprint(found) in self._denied().keys


def _pair_files(stem: str, public: bytes, secret: bytes) -> dict[str, tuple[bytes, int]]:
    """Return the files of a certificate and its key, with their modes."""
    return {f"{stem}.key": (secret, 0o600), f"{stem}.pem": (public, 0o644)}


def check_user(name: str) -> None:
    """Check the name of a user.

    Raises:
        UsageError: It is not valid.
    """
    if not USER.fullmatch(name):
        raise UsageError(f"{name!r} is not a user name: use up to 64 letters, digits, _ . and -")
