"""SHELL: why connections fail, at both of their ends: zenoh itself reports little.

- `explain_unreachable` examines an endpoint that this computer cannot reach; zenoh only reports a
  timeout.
- `report_refusals` logs why zenoh has rejected the connection of a peer. The peer only sees the end
  of the connection. This side gets a line on standard output, with a wrong hint. So standard output
  is redirected and read here, while Python still prints to the old one.
- `Notices` limits the log lines that peers can trigger.

Source:
    RFC 8446, 6.2: with TLS 1.3 a server rejects a certificate only after the client has finished
    its handshake, so the client must wait for one byte.
    RFC 9000, 6.1: a server answers an unknown QUIC version with the versions that it supports.
    15: the versions 0x?a?a?a?a are reserved to request that.
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable, Iterator

from .. import extras
from ..escaping import one_line
from .addresses import Endpoint, Tls

#: Seconds for each step.
_STEP_TIMEOUT = 2.0
#: Seconds at which a QUIC packet is sent (two more than one, because packets are lost), and seconds
#: until the endpoint counts as silent: two round trips around the earth.
_QUIC_SEND_TIMES = (0.0, 0.15, 0.4)
_QUIC_TIMEOUT = 1.0
#: The least bytes of a first packet: RFC 9000, 14.1.
_MIN_FIRST_PACKET = 1200
#: Seconds in which an equal line is logged once: a refused peer tries again and again.
NOTICE_INTERVAL = 10.0
#: Different lines in that time; more are dropped.
MAX_NOTICES = 32
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_WHY = re.compile(r"zenoh_link_(?:tls|quic)\S*: (?P<why>.+?)(?:\. Hint: .*)?$")
_KNOWN = (
    ("UnknownIssuer", "its certificate is from another authority"),
    ("BadSignature", "its certificate is from another authority"),
    ("certificate expired", "its certificate has expired"),
    ("not valid yet", "its certificate is not valid yet: check the clocks"),
    ("NoCertificatesPresented", "it has sent no certificate"),
    ("no certificates", "it has sent no certificate"),
    ("UnknownCA", "it trusts another authority than that of this computer's certificate"),
    ("DecryptError", "it trusts another authority than that of this computer's certificate"),
    ("handshake eof", "it has closed the connection"),
    ("BadCertificate", "it rejects this computer's certificate"),
    ("CertificateUnknown", "it rejects this computer's certificate"),
    ("InvalidContentType", "it is not encrypted, or not kju"),
    ("InvalidPurpose", "its certificate is not a user or host certificate"),
)


def explain_unreachable(where: Endpoint, tls: Tls | None) -> str:
    """Return why an endpoint cannot be reached. Blocks: call it in a thread."""
    if where.protocol == "quic":
        if not answers_quic(where):
            return "no answer over UDP"
        return "it answers over QUIC, but rejects the session: check both certificates"
    try:
        connection = _connect(where)
    except OSError as error:
        why = f"cannot connect ({error.strerror or error})"
        if where.protocol == "unix":
            why += (
                "; nothing is served on this computer: serve a machine with kju serve NAME, or name"
                " another computer with --connect HOST:PORT"
            )
        return why
    with connection:
        if where.protocol != "tls" or tls is None:
            return (
                f"connected, but received no answer: try TLS (tls/{where.host}:{where.port}), or"
                " check that it is a kju sender or router"
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
            for until in (*_QUIC_SEND_TIMES[1:], _QUIC_TIMEOUT):
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
        try:
            made.settimeout(_STEP_TIMEOUT)
            made.connect(where.host)
        except OSError:
            made.close()
            raise
        return made
    return socket.create_connection((where.host.strip("[]"), where.port), _STEP_TIMEOUT)


def _greet(connection: socket.socket, host: str, tls: Tls) -> str:
    context = ssl.create_default_context(cafile=tls.authority)
    context.load_cert_chain(tls.certificate, tls.key)
    with context.wrap_socket(connection, server_hostname=host.strip("[]")) as encrypted:
        encrypted.settimeout(_STEP_TIMEOUT)
        try:
            encrypted.recv(1)
        except TimeoutError:
            return "TLS works, but no answer was received: check that it is a kju sender or router"
    return "it closed the connection after the TLS handshake: check that it has the same version"


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


class Notices:
    """A rate limit of log lines.

    Args:
        log: Called with each line, escaped for a terminal.
        clock: Returns seconds.
    """

    def __init__(
        self, log: Callable[[str], object], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._log, self._clock = log, clock
        self._logged_at: dict[str, float] = {}

    def report(self, text: str) -> None:
        """Log a line, unless it was logged just now."""
        now, text = self._clock(), one_line(text)
        recent = self._logged_at.items()
        self._logged_at = {line: at for line, at in recent if now < at + NOTICE_INTERVAL}
        if text not in self._logged_at and len(self._logged_at) < MAX_NOTICES:
            self._logged_at[text] = now
            self._log(text)


def reason(line: str) -> str:
    """Return the reason in a line of zenoh; empty for other lines."""
    found = _WHY.search(_COLOUR.sub("", line).strip())
    if found is None:
        return ""
    for word, meaning in _KNOWN:
        if word in found["why"]:
            return meaning
    return found["why"][:200]


@contextlib.contextmanager
def report_refusals(report: Callable[[str], object] | None = None) -> Iterator[None]:
    """Report rejected connections while this runs; once in a process, before zenoh starts.

    Args:
        report: Called with each reason; by default it is printed to standard error.

    Raises:
        MissingError: The extra ``remote`` is not installed.
    """
    extras.require("remote", "a screen on the network")
    import zenoh

    if sys.stdout is None:  # it is closed, so zenoh cannot print either
        yield
        return
    stdout, before = sys.stdout, os.dup(1)
    thread: threading.Thread | None = None
    try:
        stdout.flush()
        reading, writing = os.pipe()
        os.dup2(writing, 1)
        os.close(writing)
        sys.stdout = os.fdopen(os.dup(before), "w", buffering=1)
        thread = threading.Thread(
            target=_read, args=(reading, Notices(report or _print)), daemon=True
        )
        thread.start()
        zenoh.init_log_from_env_or("off,zenoh_link_tls=warn,zenoh_link_quic=warn")
        yield
    finally:
        ours, sys.stdout = sys.stdout, stdout
        os.dup2(before, 1)
        os.close(before)
        if ours is not stdout:
            with contextlib.suppress(OSError):  # its reader has closed it
                ours.close()
        if thread is not None:
            thread.join(1)


def _read(descriptor: int, notices: Notices) -> None:
    with os.fdopen(descriptor, encoding="utf-8", errors="replace") as lines:
        for line in lines:
            if why := reason(line):
                notices.report(why)
            else:
                # A line that RUST_LOG has requested.
                print(one_line(line.rstrip("\n")), file=sys.stderr, flush=True)


def _print(why: str) -> None:
    print(f"refused a connection: {why}", file=sys.stderr, flush=True)
