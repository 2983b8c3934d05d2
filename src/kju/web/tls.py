"""SHELL: the certificate of the web server, which is read again when its files have changed."""

from __future__ import annotations

import logging
import ssl
from pathlib import Path

from ..errors import FileError, KjuError, UsageError
from ..files import read_file
from ..remote import certificates

log = logging.getLogger(__name__)

#: The most bytes of a certificate with its chain.
MAX_CERTIFICATE = 1 << 20


class ServerCertificate:
    """A certificate and its key.

    Args:
        certificate: A PEM file, with its chain.
        key: The PEM file of its key, without a passphrase.

    Attributes:
        context: For `asyncio.loop.create_server`.
        names: The host names and addresses in the certificate.

    Raises:
        UsageError: A file is not valid, or they do not belong together.
        FileError: A file cannot be read.
    """

    def __init__(self, certificate: Path, key: Path) -> None:
        self._certificate, self._key = certificate, key
        self.context = _context()
        self.names: frozenset[str] = frozenset()
        self._state: object = None
        self._load()

    def update(self) -> bool:
        """Read the files again, if they have changed; return whether another one is in use.

        New connections get the new certificate. If the new files are not valid, the old certificate
        stays in use.
        """
        try:
            if self._present_state() == self._state:
                return False
            self._load()
        except (KjuError, OSError) as error:
            log.warning("the certificate was not read again: %s", error)
            return False
        return True

    def _present_state(self) -> object:
        return [(s.st_ino, s.st_mtime_ns, s.st_size) for s in map(Path.stat, self._paths)]

    @property
    def _paths(self) -> tuple[Path, Path]:
        return self._certificate, self._key

    def _load(self) -> None:
        for path in self._paths:
            if not path.is_file():
                raise UsageError(f"{path} is missing; name a certificate and its key")
        self._state = self._present_state()  # before reading: a later change is read again
        found = certificates.read(read_file(self._certificate, MAX_CERTIFICATE))
        try:
            _context().load_cert_chain(self._certificate, self._key, password=_no_password)
            self.context.load_cert_chain(self._certificate, self._key, password=_no_password)
        except FileError:
            raise
        except (ssl.SSLError, OSError, ValueError) as error:
            raise UsageError(
                f"{self._certificate} and {self._key} cannot be used: {error.args[-1]}; both must"
                " be PEM, belong together, and have no passphrase"
            ) from error
        self.names = frozenset(certificates.host_names(found))


def _context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    return context


def _no_password() -> str:
    """Refuse a key with a passphrase, which OpenSSL would read from the terminal."""
    raise ValueError("the key has a passphrase")
