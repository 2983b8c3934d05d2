"""SHELL: explains why an endpoint cannot be reached: zenoh itself only reports a timeout.

Source:
    RFC 8446, 6.2: with TLS 1.3 a server rejects a certificate only after the client has finished
    its handshake, so the client must wait for one byte.
    RFC 9000, 6.1: a server answers an unknown QUIC version with the versions that it supports.
    15: the versions 0x?a?a?a?a are reserved to request that.
"""

from __future__ import annotations

import os
import socket
import ssl
import time

from .endpoints import Endpoint, Tls

#: Seconds for each step.
STEP_TIMEOUT = 2.0
#: Seconds at which a QUIC packet is sent (two more than one, because packets are lost), and seconds
#: until there is no answer: two round trips around the earth.
QUIC_SEND_TIMES = (0.0, 0.15, 0.4)
QUIC_TIMEOUT = 1.0
#: The least bytes of a first packet: RFC 9000, 14.1.
_MIN_FIRST_PACKET = 1200


def explain_unreachable(where: Endpoint, tls: Tls | None) -> str:
    """Return why an endpoint cannot be reached. Blocks: call it in a thread."""
    if where.protocol == "quic":
        if not answers_quic(where):
            return "no answer over UDP"
        return "the endpoint answers, but accepts no session: check both certificates"
    try:
        connection = _connect(where)
    except OSError as error:
        hint = ": start kju serve first" if where.protocol == "unix" else ""
        return f"cannot connect ({error.strerror or error}){hint}"
    with connection:
        if where.protocol != "tls" or tls is None:
            return (
                "connected, but there is no answer: try TLS"
                f" (tls/{where.host}:{where.port}); it may not be kju"
            )
        try:
            return _greet(connection, where.host, tls)
        except ssl.SSLCertVerificationError as error:
            return f"its certificate is not accepted: {error.verify_message}"
        except ssl.SSLError as error:
            return _explain_tls(error.reason or str(error))
        except OSError as error:
            return f"it closed the connection ({error.strerror or error})"


def answers_quic(where: Endpoint) -> bool:
    """Return whether an endpoint answers over QUIC. Blocks: call it in a thread."""
    ours, theirs = os.urandom(8), os.urandom(8)
    asked = b"".join((b"\xc0\x1a\x2a\x3a\x4a\x08", theirs, b"\x08", ours)).ljust(
        _MIN_FIRST_PACKET, b"\0"
    )
    versions = b"".join((bytes(4), b"\x08", ours, b"\x08", theirs))
    try:
        found = socket.getaddrinfo(where.host.strip("[]"), where.port, type=socket.SOCK_DGRAM)
        family, kind, number, _, place = found[0]
        with socket.socket(family, kind, number) as sock:
            sock.connect(place)
            began = time.monotonic()
            for until in (*QUIC_SEND_TIMES[1:], QUIC_TIMEOUT):
                sock.send(asked)
                while (left := began + until - time.monotonic()) > 0:
                    sock.settimeout(left)
                    try:
                        answer = sock.recv(2048)
                    except TimeoutError:
                        break
                    if answer[:1] >= b"\x80" and answer[1:].startswith(versions):
                        return True
    except OSError:  # unknown host, or connection refused
        return False
    return False


def _connect(where: Endpoint) -> socket.socket:
    if where.protocol == "unix":
        made = socket.socket(socket.AF_UNIX)
        made.settimeout(STEP_TIMEOUT)
        made.connect(where.host)
        return made
    return socket.create_connection((where.host.strip("[]"), where.port), STEP_TIMEOUT)


def _greet(connection: socket.socket, host: str, tls: Tls) -> str:
    context = ssl.create_default_context(cafile=tls.authority)
    context.load_cert_chain(tls.certificate, tls.key)
    with context.wrap_socket(connection, server_hostname=host.strip("[]")) as encrypted:
        encrypted.settimeout(STEP_TIMEOUT)
        try:
            encrypted.recv(1)
        except TimeoutError:
            return "its certificate is accepted, but there is no answer: it may not be kju"
    return "it closed the connection after the TLS handshake: it may be another version"


def _explain_tls(reason: str) -> str:
    other_authority = "it rejects this user's certificate, which is from another authority"
    known = {
        "TLSV1_ALERT_UNKNOWN_CA": other_authority,
        "TLSV1_ALERT_DECRYPT_ERROR": other_authority,
        "TLSV13_ALERT_CERTIFICATE_REQUIRED": "it requires a certificate: add --user NAME",
        "SSLV3_ALERT_CERTIFICATE_EXPIRED": "this user's certificate has expired",
        "SSLV3_ALERT_BAD_CERTIFICATE": "it rejects this user's certificate",
        "WRONG_VERSION_NUMBER": "it is not encrypted: use tcp/",
    }
    return known.get(reason, f"TLS error: {reason.lower().replace('_', ' ')}")
