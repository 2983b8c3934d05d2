"""Why connections were refused, in words, for who serves or routes.

zenoh tells the other side nothing but the end of the connection, and this side a line on its
standard output, with a hint that is wrong. That output is read here; what Python prints goes where
it did.
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
    ("UnknownIssuer", "its certificate is of another authority"),
    ("BadSignature", "its certificate is of another authority"),
    ("certificate expired", "its certificate has expired"),
    ("not valid yet", "its certificate is not good yet: is a clock wrong?"),
    ("NoCertificatesPresented", "it shows no certificate"),
    ("no certificates", "it shows no certificate"),
    ("UnknownCA", "it does not know the authority of this computer's certificate"),
    ("DecryptError", "it does not know the authority of this computer's certificate"),
    ("handshake eof", "it has hung up"),
    ("BadCertificate", "it rejects this computer's certificate"),
    ("CertificateUnknown", "it rejects this computer's certificate"),
    ("InvalidContentType", "it is not encrypted, or not kju"),
    ("InvalidPurpose", "its certificate is not one of a user or a host"),
)


def reason(line: str) -> str:
    """What one of zenoh's lines says of a connection; empty where that is nothing."""
    found = _WHY.search(_COLOUR.sub("", line).strip())
    if found is None:
        return ""
    for word, meaning in _KNOWN:
        if word in found["why"]:
            return meaning
    return found["why"][:200]


@contextlib.contextmanager
def told(say: Callable[[str], object] | None = None) -> Iterator[None]:
    """Say why connections are refused while this runs; once in a process, before zenoh.

    Args:
        say: Given each reason; prints to standard error by default.

    Raises:
        MissingError: The extra ``remote`` is not installed.
    """
    extras.require("remote", "a screen on the network")
    import zenoh

    if sys.stdout is None:  # it was closed: what zenoh prints there goes nowhere either
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
        thread = threading.Thread(target=_read, args=(reading, Notices(say or _print)), daemon=True)
        thread.start()
        zenoh.init_log_from_env_or("off,zenoh_link_tls=warn,zenoh_link_quic=warn")
        yield
    finally:
        ours, sys.stdout = sys.stdout, stdout
        os.dup2(before, 1)
        os.close(before)
        if ours is not stdout:
            with contextlib.suppress(OSError):  # nobody reads it any more
                ours.close()
        if thread is not None:
            thread.join(1)


def _read(descriptor: int, notices: Notices) -> None:
    with os.fdopen(descriptor, encoding="utf-8", errors="replace") as lines:
        for line in lines:
            if why := reason(line):
                notices.say(why)
            else:
                # What RUST_LOG has asked for.
                print(one_line(line.rstrip("\n")), file=sys.stderr, flush=True)


def _print(why: str) -> None:
    print(f"refused a connection: {why}", file=sys.stderr, flush=True)
