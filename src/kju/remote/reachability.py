"""SHELL: who is there, and why nobody is. zenoh says "timeout" whatever the reason; this asks.

Source:
    RFC 8446, 6.2: with TLS 1.3 a server refuses a certificate only after the client's handshake is
    over, so one byte is waited for.
    RFC 9000, 6.1: a server answers a version of QUIC that it does not know with those that it does.
    15: versions 0x?a?a?a?a are for asking.
"""

from __future__ import annotations

import os
import socket
import ssl
import time

from .endpoints import Endpoint, Tls

#: Seconds for each step.
PATIENCE = 2.0
#: Seconds after which QUIC is asked again, and given up: two round trips around the earth, three
#: packets of which one has to get through, and so has its answer.
ASKED = (0.0, 0.15, 0.4)
QUIC_PATIENCE = 1.0
#: Bytes of a first packet, at least: RFC 9000, 14.1.
_FIRST = 1200


def why_not(where: Endpoint, tls: Tls | None) -> str:
    """Why a place is not reached, in words; waits, so not in an event loop."""
    if where.protocol == "quic":
        if not answers_quic(where):
            return "nobody answers there over UDP"
        return "something answers there: certificates do not match, or it is not kju"
    try:
        connection = _connect(where)
    except OSError as error:
        hint = ": start kju serve first" if where.protocol == "unix" else ""
        return f"nobody listens there ({error.strerror or error}){hint}"
    with connection:
        if where.protocol != "tls" or tls is None:
            return (
                "something listens there and does not answer: it may want to be encrypted"
                f" (tls/{where.host}:{where.port}), or not be kju"
            )
        try:
            return _greet(connection, where.host, tls)
        except ssl.SSLCertVerificationError as error:
            return f"its certificate is no good here: {error.verify_message}"
        except ssl.SSLError as error:
            return _in_words(error.reason or str(error))
        except OSError as error:
            return f"it hangs up ({error.strerror or error})"


def answers_quic(where: Endpoint) -> bool:
    """Whether QUIC gets there and back; waits, so not in an event loop."""
    ours, theirs = os.urandom(8), os.urandom(8)
    asked = b"".join((b"\xc0\x1a\x2a\x3a\x4a\x08", theirs, b"\x08", ours)).ljust(_FIRST, b"\0")
    versions = b"".join((bytes(4), b"\x08", ours, b"\x08", theirs))
    try:
        found = socket.getaddrinfo(where.host.strip("[]"), where.port, type=socket.SOCK_DGRAM)
        family, kind, number, _, place = found[0]
        with socket.socket(family, kind, number) as sock:
            sock.connect(place)
            began = time.monotonic()
            for until in (*ASKED[1:], QUIC_PATIENCE):
                sock.send(asked)
                while (left := began + until - time.monotonic()) > 0:
                    sock.settimeout(left)
                    try:
                        answer = sock.recv(2048)
                    except TimeoutError:
                        break
                    if answer[:1] >= b"\x80" and answer[1:].startswith(versions):
                        return True
    except OSError:  # no such name, or it is said that nobody listens
        return False
    return False


def _connect(where: Endpoint) -> socket.socket:
    if where.protocol == "unix":
        made = socket.socket(socket.AF_UNIX)
        made.settimeout(PATIENCE)
        made.connect(where.host)
        return made
    return socket.create_connection((where.host.strip("[]"), where.port), PATIENCE)


def _greet(connection: socket.socket, host: str, tls: Tls) -> str:
    context = ssl.create_default_context(cafile=tls.authority)
    context.load_cert_chain(tls.certificate, tls.key)
    with context.wrap_socket(connection, server_hostname=host.strip("[]")) as encrypted:
        encrypted.settimeout(PATIENCE)
        try:
            encrypted.recv(1)
        except TimeoutError:
            return "certificates are in order, but it does not answer: it may not be kju"
    return "it hangs up after the greeting: it may be of another version"


def _in_words(reason: str) -> str:
    known = {
        "TLSV1_ALERT_UNKNOWN_CA": "it does not know the authority of this user's certificate",
        "TLSV13_ALERT_CERTIFICATE_REQUIRED": "it wants a certificate: say --user",
        "SSLV3_ALERT_CERTIFICATE_EXPIRED": "it says that this user's certificate has expired",
        "SSLV3_ALERT_BAD_CERTIFICATE": "it says that this user's certificate is no good",
        "TLSV1_ALERT_DECRYPT_ERROR": "it does not know the authority of this user's certificate",
        "WRONG_VERSION_NUMBER": "it is not encrypted: say tcp/",
    }
    return known.get(reason, f"it refuses: {reason.lower().replace('_', ' ')}")
