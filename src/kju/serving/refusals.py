"""Logs why zenoh has rejected connections, for the user of a sender or a router.

The peer only sees the end of the connection. This side gets a line on standard output, with a wrong
hint. So standard output is redirected and read here, while Python still prints to the old one.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
import threading
from collections.abc import Callable, Iterator

from .. import extras
from ..escaping import one_line
from ..remote.notices import Notices

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
