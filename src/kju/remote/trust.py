"""SHELL: who is who: an authority of one's own, certificates of computers and of users, and roles.

A folder (by default ``trust`` beside kju's settings) holds, as PEM,

- ``authority.pem``: what both sides believe; ``authority.key`` where it was made;
- ``host.pem``, ``host.key``: this computer, as a sender or a router;
- ``user-NAME.pem``, ``user-NAME.key``: a user, as a viewer;
- ``roles.toml``: which users may do what here.

TLS lets nobody in without a certificate of the authority; what each session proves beyond that is
in `kju.remote.proof`. A user's certificate is not good for a sender or a router.

Keys are Ed25519. They are files of their owner (0600) and never leave the folder, but for those
that are made for somebody else: `bundle`, `host_bundle`.

Source:
    RFC 5280 (certificates), RFC 8032 (Ed25519).
"""

from __future__ import annotations

import contextlib
import datetime
import importlib.util
import ipaddress
import os
import re
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from ..errors import MissingError, PeerError, UsageError
from ..wire.messages import Role
from .options import Tls

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

AUTHORITY_LASTS = datetime.timedelta(days=3650)
LASTS = datetime.timedelta(days=397)
#: Certificates are good a little earlier: clocks differ.
EARLIER = datetime.timedelta(minutes=5)
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
        from cryptography import x509

        key = _new_key()
        subject = _subject(name)
        made = (
            _builder(subject, subject, key.public_key(), self._clock(), AUTHORITY_LASTS)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(sign=True), critical=True)
            .sign(key, None)
        )
        self._write("authority", key, made)

    def make_host(self, name: str, addresses: Sequence[str]) -> None:
        """A certificate for this computer, in place of one that it has.

        Args:
            name: What it is called.
            addresses: The names and addresses by which others connect to it.

        Raises:
            UsageError: There is no authority's key here.
        """
        key, made = self._issue(name, _names(addresses or [name]), host=True)
        for suffix in ("key", "pem"):
            (self.folder / f"host.{suffix}").unlink(missing_ok=True)
        self._write("host", key, made)

    def host_bundle(self, name: str, addresses: Sequence[str]) -> bytes:
        """What another computer needs to serve or to route, in one piece: see `take_bundle`.

        Raises:
            UsageError: There is no authority's key here.
        """
        key, made = self._issue(name, _names(addresses or [name]), host=True)
        return self._read("authority.pem") + _pem(made) + _secret(key)

    def make_user(self, name: str) -> None:
        """A certificate for a user, to be given to that user: see `bundle`.

        Raises:
            UsageError: There is one, or no authority's key, or the name is none.
        """
        _check_user(name)
        self._write(f"user-{name}", *self._issue(name, _names([name]), host=False))

    def _issue(
        self, name: str, names: x509.SubjectAlternativeName, *, host: bool
    ) -> tuple[Ed25519PrivateKey, x509.Certificate]:
        from cryptography import x509
        from cryptography.x509.oid import ExtendedKeyUsageOID

        authority, signer = self._authority(), self._key("authority")
        key = _new_key()
        uses = [ExtendedKeyUsageOID.CLIENT_AUTH, *[ExtendedKeyUsageOID.SERVER_AUTH] * host]
        made = (
            _builder(_subject(name), authority.subject, key.public_key(), self._clock(), LASTS)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(sign=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage(uses), critical=False)
            .add_extension(names, critical=False)
            .sign(signer, None)
        )
        return key, made

    def _write(self, stem: str, key: Ed25519PrivateKey, made: x509.Certificate) -> None:
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            _write_new(self.folder / f"{stem}.key", _secret(key))
        except FileExistsError:
            raise UsageError(
                f"{self.folder / stem}.key is there already; remove it first to make another"
            ) from None
        (self.folder / f"{stem}.pem").write_bytes(_pem(made))

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
        certificate = _certificate(blocks[1])
        name, host = _name_of(certificate), _is_host(certificate)
        if not host:
            _check_user(name)
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        authority = self.folder / "authority.pem"
        if authority.exists() and authority.read_bytes() != blocks[0]:
            raise UsageError(f"{authority} is another authority's: choose another folder")
        authority.write_bytes(blocks[0])
        stem = "host" if host else f"user-{name}"
        (self.folder / f"{stem}.pem").write_bytes(blocks[1])
        key = self.folder / f"{stem}.key"
        key.unlink(missing_ok=True)
        _write_new(key, blocks[2])
        return name, host

    # ---- roles ----

    def roles(self) -> dict[str, Role]:
        """Which users may do what here.

        Raises:
            UsageError: The file is not right.
        """
        path = self.folder / "roles.toml"
        try:
            found = tomllib.loads(path.read_text())
        except FileNotFoundError:
            return {}
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
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
        roles = {**self.roles(), user: role}
        text = "".join(f'"{name}" = "{given}"\n' for name, given in sorted(roles.items()) if given)
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        fresh = self.folder / "roles.toml.new"
        fresh.write_text(text)
        fresh.rename(self.folder / "roles.toml")

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

    def sign(self, stem: str, *said: bytes) -> bytes:
        """A proof over these words.

        Raises:
            UsageError: There is no such key.
        """
        from cryptography.hazmat.primitives import serialization

        certificate = _certificate(self._read(f"{stem}.pem"))
        der = certificate.public_bytes(serialization.Encoding.DER)
        signature = self._key(stem).sign(words(said))
        return msgspec.msgpack.encode(Proof(der, signature))

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
        except msgspec.MsgspecError as error:
            raise PeerError(f"the certificate is none: {error}"[:300]) from error
        certificate = self._issued(given.certificate)
        name = _name_of(certificate)
        now = self._clock()
        if now > certificate.not_valid_after_utc:
            raise PeerError(
                f"the certificate of {name} has expired on {_day(certificate.not_valid_after_utc)}"
            )
        if now < certificate.not_valid_before_utc:
            raise PeerError(
                f"the certificate of {name} begins on"
                f" {_day(certificate.not_valid_before_utc)}: is a clock wrong?"
            )
        if _is_host(certificate) is not host:
            kind = "a user's and not a host's" if host else "a host's and not a user's"
            raise PeerError(f"the certificate of {name} is {kind}")
        key = certificate.public_key()
        try:
            if not isinstance(key, Ed25519PublicKey):
                raise PeerError("the certificate's key is not Ed25519")
            key.verify(given.signature, words(said))
        except InvalidSignature:
            raise PeerError(
                f"the signature is not {name}'s, or belongs to another session"
            ) from None
        return name

    def _issued(self, der: bytes) -> x509.Certificate:
        """A certificate that this authority has made."""
        from cryptography import x509
        from cryptography.exceptions import InvalidSignature

        authority = self._authority()
        # What hostile bytes raise there has no base class.
        try:
            certificate = x509.load_der_x509_certificate(der)
        except Exception as error:
            raise PeerError(f"the certificate is none: {error}"[:300]) from error
        try:
            certificate.verify_directly_issued_by(authority)
        except InvalidSignature:
            raise PeerError("the certificate is of another authority") from None
        except Exception as error:
            raise PeerError(f"the certificate is of another authority: {error}"[:300]) from error
        return certificate

    # ---- files ----

    def _read(self, name: str) -> bytes:
        try:
            return (self.folder / name).read_bytes()
        except FileNotFoundError:
            how = {
                "authority.pem": "kju cert authority, or kju cert take FILE",
                "authority.key": "make certificates where the authority was made",
                "host.pem": "kju cert host", "host.key": "kju cert host",
            }.get(name, "kju cert user NAME, or kju cert take FILE")  # fmt: skip
            raise UsageError(f"there is no {self.folder / name}: {how}") from None

    def _authority(self) -> x509.Certificate:
        return _certificate(self._read("authority.pem"))

    def _key(self, stem: str) -> Ed25519PrivateKey:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.serialization import load_pem_private_key

        try:
            key = load_pem_private_key(self._read(f"{stem}.key"), None)
        except (ValueError, TypeError):
            raise UsageError(f"{self.folder / stem}.key is no key of kju's") from None
        if not isinstance(key, Ed25519PrivateKey):
            raise UsageError(f"{self.folder / stem}.key is no key of kju's")
        return key

    def unnamed(self, addresses: Sequence[str]) -> list[str]:
        """Which of these this computer's certificate does not name: viewers would refuse it there.

        Raises:
            UsageError: There is none.
        """
        from cryptography import x509

        certificate = _certificate(self._read("host.pem"))
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        named = {str(each.value).lower() for each in found}
        return [each for each in addresses if _plain(each) not in named]

    def listed(self) -> list[tuple[str, str, datetime.datetime]]:
        """Every certificate here: file, name, last day."""
        found = []
        for path in sorted(self.folder.glob("*.pem")):
            with contextlib.suppress(UsageError):
                certificate = _certificate(path.read_bytes())
                found.append((path.stem, _name_of(certificate), certificate.not_valid_after_utc))
        return found


def _new_key() -> Ed25519PrivateKey:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    return Ed25519PrivateKey.generate()


def _subject(name: str) -> x509.Name:
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    if not 1 <= len(name) <= 64:
        raise UsageError(f"a certificate's name has 1 to 64 characters: {name!r}")
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: object,
    now: datetime.datetime,
    lasts: datetime.timedelta,
) -> x509.CertificateBuilder:
    from cryptography import x509

    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)  # type: ignore[arg-type]  # an Ed25519 one
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - EARLIER)
        .not_valid_after(now + lasts)
    )


def _usage(*, sign: bool) -> x509.KeyUsage:
    from cryptography import x509

    return x509.KeyUsage(
        digital_signature=not sign, key_cert_sign=sign, crl_sign=sign,
        content_commitment=False, key_encipherment=False, data_encipherment=False,
        key_agreement=False, encipher_only=False, decipher_only=False,
    )  # fmt: skip


def _certificate(data: bytes) -> x509.Certificate:
    from cryptography import x509

    try:
        return x509.load_pem_x509_certificate(data)
    except ValueError as error:
        raise UsageError(f"this is no certificate: {error}") from error


def _name_of(certificate: x509.Certificate) -> str:
    from cryptography.x509.oid import NameOID

    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(names[0].value) if names else ""


def _is_host(certificate: x509.Certificate) -> bool:
    from cryptography import x509
    from cryptography.x509.oid import ExtendedKeyUsageOID

    try:
        uses = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except (x509.ExtensionNotFound, ValueError):
        return False
    return ExtendedKeyUsageOID.SERVER_AUTH in uses


def _names(addresses: Sequence[str]) -> x509.SubjectAlternativeName:
    from cryptography import x509

    names: list[x509.GeneralName] = []
    for each in addresses:
        try:
            names.append(x509.IPAddress(ipaddress.ip_address(each)))
        except ValueError:
            names.append(x509.DNSName(each))
    return x509.SubjectAlternativeName(names)


def _plain(address: str) -> str:
    """An address as a certificate has it."""
    try:
        return str(ipaddress.ip_address(address.strip("[]")))
    except ValueError:
        return address.lower()


def _pem(made: x509.Certificate) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding

    return made.public_bytes(Encoding.PEM)


def _secret(key: Ed25519PrivateKey) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _day(when: datetime.datetime) -> str:
    return when.strftime("%Y-%m-%d %H:%M UTC")


def words(said: Sequence[bytes]) -> bytes:
    """Several words as one, so that no others are the same bytes."""
    return _MAGIC + b"".join(len(word).to_bytes(4, "big") + word for word in said)


def _check_user(name: str) -> None:
    if not USER.fullmatch(name):
        raise UsageError(f"{name!r} is no user's name: letters, digits, _ . and -, 64 at most")


def _write_new(path: Path, data: bytes) -> None:
    """Write a file that is its owner's alone and was not there."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
