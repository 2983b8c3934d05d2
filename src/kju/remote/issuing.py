"""SHELL: creates certificates in a trust folder, and moves them between computers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..errors import UsageError
from . import certificates
from .certificates import Issued, Kind
from .trust_folder import TrustFolder, check_user, pair_files

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


class IssuingFolder(TrustFolder):
    """A trust folder in which certificates are created or imported."""

    def make_authority(self, name: str) -> None:
        """Create an authority.

        Raises:
            UsageError: There is one already.
        """
        self._add("authority", certificates.make_authority(name, self._clock()))

    def make_host(self, name: str, addresses: Sequence[str]) -> None:
        """Create or renew this computer's host certificate. A key that is not denied is kept.

        Viewers know a sender by its key, so they need not accept a renewed certificate.

        Args:
            name: The name of the host.
            addresses: The host names and addresses to which others connect.

        Raises:
            UsageError: The key of the authority is missing, or a name is not valid.
        """
        self._make("host", name, addresses)

    def make_router(self, name: str, addresses: Sequence[str]) -> None:
        """Create or renew this computer's router certificate: see `make_host`.

        Raises:
            UsageError: The key of the authority is missing, or a name is not valid.
        """
        self._make("router", name, addresses)

    def _make(self, kind: Kind, name: str, addresses: Sequence[str]) -> None:
        key = None
        if (self.folder / f"{kind}.key").exists() and not self._is_denied(f"{kind}.pem"):
            key = certificates.read_key(self._read(f"{kind}.key"))
        made = self._issue(name, addresses or [name], kind, key)
        self._write(kind, made.public, made.secret)

    def host_bundle(self, name: str, addresses: Sequence[str], kind: Kind = "host") -> bytes:
        """Create a host or router certificate for another computer: see `take_bundle`.

        Raises:
            UsageError: The key of the authority is missing, or a name is not valid.
        """
        made = self._issue(name, addresses or [name], kind)
        return self._read("authority.pem") + made.public + made.secret

    def make_user(self, name: str) -> None:
        """Create a certificate and a key for a user of this folder.

        Raises:
            UsageError: The user has a valid one, the authority's key is missing, or the name is not
                valid.
        """
        made = self._new_user(name)
        self._write(f"user-{name}", made.public, made.secret)

    def user_bundle(self, name: str) -> bytes:
        """Create a user's certificate for another folder: see `take_bundle`.

        Only the certificate stays here; the key is only in the result.

        Raises:
            UsageError: The user has a valid one, the authority's key is missing, or the name is not
                valid.
        """
        made = self._new_user(name)
        authority = self._read("authority.pem")
        self._write_all({f"user-{name}.pem": (made.public, 0o644)})
        return authority + made.public + made.secret

    def _new_user(self, name: str) -> Issued:
        check_user(name)
        made = self._issue(name, [name], "user")
        if not self._is_denied(f"user-{name}.pem"):
            self._check_new(f"user-{name}.pem", f"deny it with kju trust {name} --remove")
        return made

    def forget(self, user: str) -> None:
        """Remove the key and the certificate of a user that were not handed out.

        Raises:
            FileError: They could not be removed.
        """
        with self._open() as folder, folder.lock():
            for name in pair_files(f"user-{user}", b"", b""):
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

    def take_bundle(self, data: bytes) -> tuple[str, Kind]:
        """Import a bundle that `user_bundle` or `host_bundle` created on another computer.

        Returns:
            The name in the certificate, and its kind.

        Raises:
            UsageError: The data is not a bundle, or the folder has another authority.
        """
        blocks = re.findall(rb"-----BEGIN [^-]+-----.*?-----END [^-]+-----\n", data, re.DOTALL)
        if len(blocks) != 3 or b"PRIVATE KEY" not in blocks[2]:
            raise UsageError("not a file from kju cert user, kju cert host or kju cert router")
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
        pair = pair_files(f"user-{name}" if kind == "user" else kind, blocks[1], blocks[2])
        self._write_all({**pair, authority.name: (blocks[0], 0o644)})
        return name, kind
