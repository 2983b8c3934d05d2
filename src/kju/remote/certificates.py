"""X.509 certificates with Ed25519 keys: creating, reading and checking them. I/O-free.

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
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

_AUTHORITY_LIFETIME, _CERTIFICATE_LIFETIME = datetime.timedelta(3650), datetime.timedelta(397)
#: The accepted difference between the clocks of two computers. A certificate begins this much
#: before the time of issue, and counts as older than an event only by more than this.
CLOCK_TOLERANCE = datetime.timedelta(minutes=5)
#: The use of a certificate: a sender of screens, a router, or a user.
Kind = Literal["host", "router", "user"]
#: The extended key usage of router certificates: a TLS server that cannot authenticate as the
#: sender of a screen. 2.25 is the arc of UUIDs (ITU-T X.667), which needs no registration.
_ROUTER_USAGE = "2.25.12146319052206042968348016946243229737"
#: The most names of a certificate: all of it is sent in a proof.
_MAX_NAMES = 32
_HOST = re.compile(r"(?!-)[A-Za-z0-9_.-]{1,253}")


class Issued(NamedTuple):
    """A certificate and its key."""

    key: Ed25519PrivateKey | EllipticCurvePrivateKey
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
    """Create the certificate of an authority.

    Raises:
        UsageError: The name is too long.
    """
    from cryptography import x509

    key, subject = _new_key(), _subject(name)
    made = (
        _builder(subject, subject, key, now, _AUTHORITY_LIFETIME)
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
    """Create the certificate of a host, a router or a user.

    Args:
        by: The authority.
        name: Its common name.
        addresses: The host names and addresses of its owner.
        now: The present time.
        kind: Its use.
        key: Its key; a new one by default.

    Raises:
        UsageError: A name is not valid, or there are too many.
    """
    from cryptography import x509
    from cryptography.x509.oid import ExtendedKeyUsageOID

    key = key or _new_key()
    uses = [ExtendedKeyUsageOID.CLIENT_AUTH]
    if kind != "user":
        uses.append(ExtendedKeyUsageOID.SERVER_AUTH)
    if kind == "router":
        uses.append(x509.ObjectIdentifier(_ROUTER_USAGE))
    made = (
        _builder(_subject(name), by.certificate.subject, key, now, _CERTIFICATE_LIFETIME)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(sign=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(uses), critical=False)
        .add_extension(_names(addresses), critical=False)
        .sign(by.key, None)
    )
    return Issued(key, made)


def read(data: bytes) -> x509.Certificate:
    """Read a certificate in PEM.

    Raises:
        UsageError: It is not valid.
    """
    from cryptography import x509

    try:
        return x509.load_pem_x509_certificate(data)
    except ValueError as error:
        raise UsageError(f"not a valid certificate: {error}") from error


def read_key(data: bytes) -> Ed25519PrivateKey:
    """Read an Ed25519 key in PEM.

    Raises:
        UsageError: It is not an Ed25519 key.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(data, None)
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise UsageError("not a key that kju has created (Ed25519, PEM)")
    return key


def from_peer(der: bytes, authority: x509.Certificate) -> x509.Certificate:
    """Read a peer's certificate, which this authority must have issued.

    Raises:
        PeerError: It is not valid, or was issued by another authority.
    """
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature

    # Errors of the library for hostile bytes have no common base class.
    try:
        found = x509.load_der_x509_certificate(der)
    except Exception as error:
        raise PeerError(f"not a valid certificate: {error}"[:300]) from error
    try:
        found.verify_directly_issued_by(authority)
    except InvalidSignature:
        raise PeerError("the certificate is from another authority") from None
    except Exception as error:
        raise PeerError(f"the certificate is from another authority: {error}"[:300]) from error
    return found


def check_time(certificate: x509.Certificate, now: datetime.datetime) -> None:
    """Check that a certificate is valid now.

    Raises:
        PeerError: It has expired, or is not valid yet.
    """
    name, end = name_of(certificate), certificate.not_valid_after_utc
    begin = certificate.not_valid_before_utc
    if now > end:
        raise PeerError(f"the certificate of {name} has expired on {_day(end)}")
    if now < begin:
        raise PeerError(
            f"the certificate of {name} is not valid before {_day(begin)}: check the clocks"
        )


def name_of(certificate: x509.Certificate) -> str:
    """Return the common name of a certificate."""
    from cryptography.x509.oid import NameOID

    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(names[0].value) if names else ""


def issued_at(certificate: x509.Certificate) -> datetime.datetime:
    """Return the time when a certificate was issued: `CLOCK_TOLERANCE` after its begin."""
    return certificate.not_valid_before_utc + CLOCK_TOLERANCE


def fingerprint(certificate: x509.Certificate) -> str:
    """Return the fingerprint of its public key in ssh's form: ``SHA256:`` and 43 characters."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    form = Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    digest = hashlib.sha256(certificate.public_key().public_bytes(*form)).digest()
    return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


def sha256(certificate: x509.Certificate) -> str:
    """Return the hash of a certificate as browsers show it: hexadecimal bytes and colons."""
    from cryptography.hazmat.primitives.serialization import Encoding

    return hashlib.sha256(certificate.public_bytes(Encoding.DER)).digest().hex(":").upper()


def kind_of(certificate: x509.Certificate) -> Kind:
    """Return the use of a certificate."""
    from cryptography import x509
    from cryptography.x509.oid import ExtendedKeyUsageOID

    try:
        uses = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except (x509.ExtensionNotFound, ValueError):
        return "user"
    if x509.ObjectIdentifier(_ROUTER_USAGE) in uses:
        return "router"
    return "host" if ExtendedKeyUsageOID.SERVER_AUTH in uses else "user"


def unnamed(certificate: x509.Certificate, addresses: Sequence[str]) -> list[str]:
    """Return the addresses that a certificate lacks."""
    from cryptography import x509

    found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    named = {str(each.value).lower() for each in found}
    return [each for each in addresses if _plain(each) not in named]


def host_names(certificate: x509.Certificate) -> list[str]:
    """Return the host names and addresses in a certificate."""
    from cryptography import x509

    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return []
    kinds = (x509.DNSName, x509.IPAddress)
    return [str(each.value).lower() for each in found if isinstance(each, kinds)]


def make_web(addresses: Sequence[str], now: datetime.datetime) -> tuple[bytes, bytes]:
    """Create a certificate for browsers, signed by its own key; return it and the key, PEM.

    Browsers know no Ed25519, so the key is one of P-256.

    Args:
        addresses: The host names and addresses of the server; the first one is its name.
        now: The present time.

    Raises:
        UsageError: A name is not valid, or there are too many.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = _subject(addresses[0][:64])
    made = (
        _builder(name, name, key, now, _CERTIFICATE_LIFETIME)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(sign=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(_names(addresses), critical=False)
        .sign(key, hashes.SHA256())
    )
    issued = Issued(key, made)
    return issued.public, issued.secret


def _new_key() -> Ed25519PrivateKey:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    return Ed25519PrivateKey.generate()


def _subject(name: str) -> x509.Name:
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    if not 1 <= len(name) <= 64:
        raise UsageError(f"{name!r} is not a certificate name: use 1 to 64 characters")
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: Ed25519PrivateKey | EllipticCurvePrivateKey,
    now: datetime.datetime,
    lifetime: datetime.timedelta,
) -> x509.CertificateBuilder:
    from cryptography import x509

    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_TOLERANCE)
        .not_valid_after(now + lifetime)
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

    if len(addresses) > _MAX_NAMES:
        raise UsageError(
            f"{len(addresses)} names are over the limit of {_MAX_NAMES} for a certificate"
        )
    found: list[x509.GeneralName] = []
    for each in addresses:
        try:
            found.append(x509.IPAddress(ipaddress.ip_address(each)))
        except ValueError:
            if not _HOST.fullmatch(each):
                raise UsageError(
                    f"{each!r} is not a host name or an address: use letters, digits, - and ."
                ) from None
            found.append(x509.DNSName(each))
    return x509.SubjectAlternativeName(found)


def _plain(address: str) -> str:
    """Return an address in a certificate's form."""
    try:
        return str(ipaddress.ip_address(address.strip("[]")))
    except ValueError:
        return address.lower()


def _day(when: datetime.datetime) -> str:
    return when.strftime("%Y-%m-%d %H:%M UTC")
