"""X.509 certificates with Ed25519 keys: made, read and looked at. I/O-free.

Source:
    RFC 5280 (certificates), RFC 8032 (Ed25519).
"""

from __future__ import annotations

import base64
import datetime
import hashlib
import ipaddress
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

from ..errors import PeerError, UsageError

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

AUTHORITY_LASTS = datetime.timedelta(days=3650)
LASTS = datetime.timedelta(days=397)
#: Certificates are good a little earlier: clocks differ.
EARLIER = datetime.timedelta(minutes=5)
#: What a certificate is for: a sender of screens, a router, or a user who looks at screens.
Kind = Literal["host", "router", "user"]
#: The extended key usage that makes a certificate a router's: a TLS server that cannot prove to be
#: the sender of a screen. 2.25 is the arc of UUIDs (ITU-T X.667), which nobody has to assign.
ROUTER = "2.25.12146319052206042968348016946243229737"
#: Names that a host's certificate has at most: it goes over the network, whole.
MOST_NAMES = 32
_HOST = re.compile(r"(?!-)[A-Za-z0-9_.-]{1,253}")


class Issued(NamedTuple):
    """A certificate and its key."""

    key: Ed25519PrivateKey
    certificate: x509.Certificate

    @property
    def public(self) -> bytes:
        """The certificate, PEM."""
        from cryptography.hazmat.primitives.serialization import Encoding

        return self.certificate.public_bytes(Encoding.PEM)

    @property
    def secret(self) -> bytes:
        """The key, PEM."""
        from cryptography.hazmat.primitives.serialization import (
            Encoding,
            NoEncryption,
            PrivateFormat,
        )

        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def make_authority(name: str, now: datetime.datetime) -> Issued:
    """An authority.

    Raises:
        UsageError: The name is too long.
    """
    from cryptography import x509

    key, subject = _new_key(), _subject(name)
    made = (
        _builder(subject, subject, key, now, AUTHORITY_LASTS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(sign=True), critical=True)
        .sign(key, None)
    )
    return Issued(key, made)


def issue(
    by: Issued,
    name: str,
    addresses: Sequence[str],
    now: datetime.datetime,
    kind: Kind,
    key: Ed25519PrivateKey | None = None,
) -> Issued:
    """A host's, a router's or a user's certificate.

    Args:
        by: The authority.
        name: What it is called.
        addresses: The names and addresses by which it is reached.
        now: When it begins.
        kind: What it is for.
        key: The key that it is for; a new one by default.

    Raises:
        UsageError: A name is none, or there are too many.
    """
    from cryptography import x509
    from cryptography.x509.oid import ExtendedKeyUsageOID

    key = key or _new_key()
    uses = [ExtendedKeyUsageOID.CLIENT_AUTH]
    if kind != "user":
        uses.append(ExtendedKeyUsageOID.SERVER_AUTH)
    if kind == "router":
        uses.append(x509.ObjectIdentifier(ROUTER))
    made = (
        _builder(_subject(name), by.certificate.subject, key, now, LASTS)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(sign=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(uses), critical=False)
        .add_extension(_names(addresses), critical=False)
        .sign(by.key, None)
    )
    return Issued(key, made)


def read(data: bytes) -> x509.Certificate:
    """A certificate in PEM.

    Raises:
        UsageError: It is none.
    """
    from cryptography import x509

    try:
        return x509.load_pem_x509_certificate(data)
    except ValueError as error:
        raise UsageError(f"this is no certificate: {error}") from error


def read_key(data: bytes) -> Ed25519PrivateKey:
    """A key in PEM.

    Raises:
        UsageError: It is none of ours.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(data, None)
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise UsageError("this is no key of kju's")
    return key


def from_peer(der: bytes, authority: x509.Certificate) -> x509.Certificate:
    """What somebody shows, if this authority has made it.

    Raises:
        PeerError: It has not.
    """
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature

    # What hostile bytes raise there has no base class.
    try:
        found = x509.load_der_x509_certificate(der)
    except Exception as error:
        raise PeerError(f"the certificate is none: {error}"[:300]) from error
    try:
        found.verify_directly_issued_by(authority)
    except InvalidSignature:
        raise PeerError("the certificate is of another authority") from None
    except Exception as error:
        raise PeerError(f"the certificate is of another authority: {error}"[:300]) from error
    return found


def check_time(certificate: x509.Certificate, now: datetime.datetime) -> None:
    """Refuse one that is not good now.

    Raises:
        PeerError: It has expired, or has not begun.
    """
    name, end = name_of(certificate), certificate.not_valid_after_utc
    begin = certificate.not_valid_before_utc
    if now > end:
        raise PeerError(f"the certificate of {name} has expired on {_day(end)}")
    if now < begin:
        raise PeerError(f"the certificate of {name} begins on {_day(begin)}: is a clock wrong?")


def name_of(certificate: x509.Certificate) -> str:
    """Its common name."""
    from cryptography.x509.oid import NameOID

    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(names[0].value) if names else ""


def issued_at(certificate: x509.Certificate) -> datetime.datetime:
    """When it was made: it begins a little before that."""
    return certificate.not_valid_before_utc + EARLIER


def fingerprint(certificate: x509.Certificate) -> str:
    """Its public key's SHA-256, as ssh shows keys: ``SHA256:`` and 43 characters."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    form = Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    digest = hashlib.sha256(certificate.public_key().public_bytes(*form)).digest()
    return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


def kind_of(certificate: x509.Certificate) -> Kind:
    """What it is for."""
    from cryptography import x509
    from cryptography.x509.oid import ExtendedKeyUsageOID

    try:
        uses = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except (x509.ExtensionNotFound, ValueError):
        return "user"
    if x509.ObjectIdentifier(ROUTER) in uses:
        return "router"
    return "host" if ExtendedKeyUsageOID.SERVER_AUTH in uses else "user"


def unnamed(certificate: x509.Certificate, addresses: Sequence[str]) -> list[str]:
    """Which of these it does not name."""
    from cryptography import x509

    found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    named = {str(each.value).lower() for each in found}
    return [each for each in addresses if _plain(each) not in named]


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
    key: Ed25519PrivateKey,
    now: datetime.datetime,
    lasts: datetime.timedelta,
) -> x509.CertificateBuilder:
    from cryptography import x509

    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
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


def _names(addresses: Sequence[str]) -> x509.SubjectAlternativeName:
    from cryptography import x509

    if len(addresses) > MOST_NAMES:
        raise UsageError(f"a certificate has at most {MOST_NAMES} names, not {len(addresses)}")
    found: list[x509.GeneralName] = []
    for each in addresses:
        try:
            found.append(x509.IPAddress(ipaddress.ip_address(each)))
        except ValueError:
            if not _HOST.fullmatch(each):
                raise UsageError(
                    f"{each!r} is no name of a computer and no address: letters, digits, - and ."
                ) from None
            found.append(x509.DNSName(each))
    return x509.SubjectAlternativeName(found)


def _plain(address: str) -> str:
    """An address as a certificate has it."""
    try:
        return str(ipaddress.ip_address(address.strip("[]")))
    except ValueError:
        return address.lower()


def _day(when: datetime.datetime) -> str:
    return when.strftime("%Y-%m-%d %H:%M UTC")
