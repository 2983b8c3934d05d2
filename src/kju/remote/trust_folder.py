"""SHELL: the files of a trust folder: certificates, keys, and denied keys.

A folder (by default ``trust`` beside kju's settings) contains, as PEM,

- ``authority.pem``: the certificate of the authority; ``authority.key`` where it was created;
- ``host.pem``, ``host.key``: this computer as a sender;
- ``router.pem``, ``router.key``: this computer as a router;
- ``user-NAME.pem``, ``user-NAME.key``: a user; without the key if the certificate was created for
  another computer;
- ``roles.toml``: the roles of users on this computer;
- ``denied.json``: denied keys (`kju.remote.denied`);
- ``senders.json``: the known senders of mirrored screens (`kju.remote.known`).

Private keys are readable by their owner only (0600). They leave the folder only in bundles for
other computers (`kju.remote.issuing`).
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
from . import certificates, denied
from .certificates import Kind

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}")

_Parsed = TypeVar("_Parsed")
Clock = Callable[[], datetime.datetime]


def utc_now() -> datetime.datetime:
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

    def __init__(self, folder: Path, clock: Clock = utc_now) -> None:
        extras.require("remote", "a certificate", only="cryptography")
        self.folder = folder
        self._clock = clock
        self._cache: dict[str, tuple[object, object]] = {}

    @property
    def is_host(self) -> bool:
        """Whether this computer has a host certificate."""
        return (self.folder / "host.key").exists()

    def unnamed(self, addresses: Sequence[str], kind: Kind = "host") -> list[str]:
        """Return the addresses that this computer's certificate lacks.

        Viewers that connect to them reject the certificate.

        Raises:
            UsageError: There is no certificate.
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

    def _write(self, stem: str, public: bytes, secret: bytes) -> None:
        """Write a certificate and its key, replacing older ones."""
        self._write_all(pair_files(stem, public, secret))

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
            how = {
                "authority.pem": "kju cert authority, or kju cert take FILE",
                "authority.key": "create certificates on the computer of the authority",
                "host.pem": "kju cert host, or kju cert take FILE",
                "host.key": "kju cert host, or kju cert take FILE",
                "router.pem": "kju cert router, or kju cert take FILE",
                "router.key": "kju cert router, or kju cert take FILE",
            }.get(name, "kju cert user NAME, or kju cert take FILE")  # fmt: skip
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

    def _denied(self) -> denied.DeniedKeys:
        return self._parsed(denied.FILE, lambda: denied.read(self.folder))

    def _is_denied(self, name: str) -> bool:
        """Return whether a certificate is missing or denied."""
        try:
            found = certificates.read(self._read(name))
        except UsageError:
            return True
        return certificates.fingerprint(found) in self._denied().keys


def pair_files(stem: str, public: bytes, secret: bytes) -> dict[str, tuple[bytes, int]]:
    """Return the files of a certificate and its key, with their modes."""
    return {f"{stem}.key": (secret, 0o600), f"{stem}.pem": (public, 0o644)}


def check_user(name: str) -> None:
    """Check the name of a user.

    Raises:
        UsageError: It is not valid.
    """
    if not USER.fullmatch(name):
        raise UsageError(f"{name!r} is not a user name: use up to 64 letters, digits, _ . and -")
