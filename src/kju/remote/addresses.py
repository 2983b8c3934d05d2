"""Addresses on the network: names of screens, zenoh's keys, and endpoints. I/O-free.

A screen has a name such as ``lab/host1/debian`` and an address such as ``zenoh:lab/host1/debian``.

| key | use |
|---|---|
| ``kju/up/NAME`` | token: the screen is served |
| ``kju/to/NAME/VIEWER`` | messages from the sender to one viewer |
| ``kju/all/NAME/AUDIENCE`` | messages from the sender to an audience |
| ``kju/from/NAME/VIEWER`` | messages from the viewer |
| ``kju/viewer/NAME/VIEWER`` | token: the viewer is connected |

VIEWER and AUDIENCE are 32 random hexadecimal digits.
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

from ..errors import UsageError

SCHEME = "zenoh:"
_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}")
_VIEWER = re.compile(r"[0-9a-f]{32}")
_MAX_PARTS = 8


def parse_screen(address: str) -> str:
    """Return the name in an address: ``lab/host1/debian`` in ``zenoh:lab/host1/debian``.

    Raises:
        UsageError: The text is not an address.
    """
    if not address.startswith(SCHEME):
        raise UsageError(
            f"{address!r} is not a screen's address; write one such as {SCHEME}lab/host1/web"
        )
    return check_screen(address.removeprefix(SCHEME))


def check_screen(name: str) -> str:
    """Return a screen's name after checking it.

    Raises:
        UsageError: The text is not a name.
    """
    parts = name.split("/")
    if len(parts) > _MAX_PARTS or not all(_PART.fullmatch(part) for part in parts):
        raise UsageError(
            f"{name!r} is not a screen's name: use 1 to {_MAX_PARTS} parts of letters, digits,"
            " _ . and -, separated by /"
        )
    return name


def presence(name: str) -> str:
    """Return the key of a screen's token; ``**`` is every screen."""
    return f"kju/up/{name}"


def to_viewer(name: str, viewer: str) -> str:
    """Return the key of messages to a viewer."""
    return f"kju/to/{name}/{viewer}"


def to_audience(name: str, audience: str) -> str:
    """Return the key of messages to an audience; ``*`` is every audience."""
    return f"kju/all/{name}/{audience}"


def audience_of(key: str) -> str:
    """Return the audience in a key; empty for other keys."""
    return viewer_of(key) if key.startswith("kju/all/") else ""


def from_viewer(name: str, viewer: str) -> str:
    """Return the key of messages from a viewer; ``*`` is every viewer."""
    return f"kju/from/{name}/{viewer}"


def viewer_token(name: str, viewer: str) -> str:
    """Return the key of a viewer's token; ``*`` is every viewer."""
    return f"kju/viewer/{name}/{viewer}"


def viewer_of(key: str) -> str:
    """Return the viewer in a key; empty for other keys."""
    last = key.rsplit("/", 1)[-1]
    return last if _VIEWER.fullmatch(last) else ""


def screen_of(key: str) -> str:
    """Return the screen in the key of its token; empty for other keys."""
    name = key.removeprefix("kju/up/")
    try:
        return check_screen(name) if name != key else ""
    except UsageError:
        return ""


#: Messages in zenoh's own queue of each link and priority. Queued pictures grow old, so it is as
#: short as possible.
_QUEUE_LENGTH = 2
#: The most bytes of a zenoh message: ours have half of that, and zenoh's own are small.
MAX_ZENOH_MESSAGE = 1 << 17
#: Milliseconds in which a new connection must become a zenoh session, and the most such connections
#: (fewer if the process may not open twice as many files). With zenoh's own 10,000 and 100, a
#: thousand idle connections kept others out for 11 s.
ACCEPT_TIMEOUT, _ACCEPT_PENDING = 2_000, 2_000
_PROTOCOLS = ("tcp", "tls", "quic")
#: The prefix of a socket's path. Only users who can enter its folder reach it.
UNIX = "unix:"
_ENDPOINT = re.compile(
    r"(?:(?P<protocol>[a-z]+)/)?(?P<host>\[[0-9a-fA-F:]+\]|[^\[\]:/]+):(?P<port>\d{1,5})"
)


class Endpoint(NamedTuple):
    """A network address to listen on or to connect to.

    Attributes:
        protocol: ``tcp``, ``tls``, ``quic`` or ``unix``.
        host: A host name or address (IPv6 in brackets), or a socket's path.
        port: The port; 0 for a socket's path.
    """

    protocol: str
    host: str
    port: int

    def __str__(self) -> str:
        if self.protocol == "unix":
            return UNIX + self.host
        return f"{self.protocol}/{self.host}:{self.port}"

    @property
    def _locator(self) -> str:
        """The endpoint in zenoh's form."""
        if self.protocol == "unix":
            return f"unixsock-stream/{self.host}"
        return self.quic if self.protocol == "quic" else str(self)

    @property
    def quic(self) -> str:
        """This endpoint over QUIC in zenoh's form: messages that may be lost are datagrams.

        Without TLS, QUIC is not encrypted either. ``auto``: a peer without datagrams gets streams
        only. One stream: reliable messages keep their order, so that a hello arrives after the
        declaration of the subscriber for its answer.
        """
        how = "mixed_rel=auto;multistream=0"
        if self.protocol == "tcp":
            return f"udp/{self.host}:{self.port}?rel=1;{how}"
        return f"quic/{self.host}:{self.port}?{how}"

    @property
    def is_local(self) -> bool:
        """True if only this computer reaches the endpoint."""
        if self.protocol == "unix" or self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host.strip("[]")).is_loopback
        except ValueError:
            return False


def endpoint(text: str, protocol: str = "tls") -> Endpoint:
    """Parse ``HOST:PORT``, ``PROTOCOL/HOST:PORT`` or ``unix:PATH``.

    Raises:
        UsageError: The text is not an endpoint.
    """
    if text.startswith(UNIX + "/"):
        return Endpoint("unix", text.removeprefix(UNIX), 0)
    found = _ENDPOINT.fullmatch(text)
    if found is None or int(found["port"]) > 65535:
        raise UsageError(f"{text!r} is not an address; write HOST:PORT or PROTOCOL/HOST:PORT")
    made = Endpoint(found["protocol"] or protocol, found["host"], int(found["port"]))
    if made.protocol not in _PROTOCOLS:
        raise UsageError(f"unknown protocol in {text!r}: choose {', '.join(_PROTOCOLS)}")
    return made


def safe_endpoint(text: str, *, insecure: bool = False) -> Endpoint:
    """Parse an endpoint; one of another computer without a protocol is encrypted.

    Args:
        text: As for `endpoint`.
        insecure: Do not encrypt it.

    Raises:
        UsageError: The text is not an endpoint.
    """
    found = endpoint(text, "tcp")
    if "/" in text or found.is_local or insecure:
        return found
    return endpoint(text, "tls")


class Tls(NamedTuple):
    """The PEM files of one end of a TLS connection.

    Attributes:
        authority: The certificate of the authority that both ends trust.
        certificate: The certificate of this end.
        key: Its private key.
    """

    authority: str
    certificate: str
    key: str


class SessionOptions(NamedTuple):
    """The endpoints and certificates of a session.

    Attributes:
        listen: Endpoints to listen on.
        connect: Endpoints to connect to: senders, viewers or routers.
        tls: Certificates; None without encryption.
        router: The session forwards messages between its peers.
        datagrams: Use TCP endpoints over QUIC too, on the UDP port of the same number; None: only
            those that other computers reach. Within a computer nothing is lost, and TCP needs less
            CPU time.
    """

    listen: Sequence[Endpoint] = ()
    connect: Sequence[Endpoint] = ()
    tls: Tls | None = None
    router: bool = False
    datagrams: bool | None = None

    def check(self, *, insecure: bool) -> None:
        """Check that nothing leaves this computer unencrypted, unless that was allowed.

        Raises:
            UsageError: An endpoint needs certificates or encryption.
        """
        for where in (*self.listen, *self.connect):
            encrypted = where.protocol in ("tls", "quic")
            if encrypted and self.tls is None:
                raise UsageError(
                    f"{where} needs certificates: create them with kju cert, or import them with"
                    " kju cert take FILE"
                )
            if not encrypted and not where.is_local and not insecure:
                raise UsageError(
                    f"{where} would carry screens and keys over the network unencrypted: use tls/"
                    " with certificates (kju cert), or allow it with --insecure"
                )

    def may_have_datagrams(self, where: Endpoint) -> bool:
        """Return whether to use an endpoint over QUIC too."""
        if where.protocol not in ("tcp", "tls"):
            return False
        return not where.is_local if self.datagrams is None else self.datagrams

    def _locators(self, where: Endpoint, quic: Collection[Endpoint]) -> list[str]:
        """Return an endpoint's forms, best first. Only a client tries one after the other."""
        if where not in quic:
            return [where._locator]
        return [where.quic] if self.router or self.listen else [where.quic, where._locator]

    def zenoh(
        self, quic: Collection[Endpoint] = (), descriptors: int = 2 * _ACCEPT_PENDING
    ) -> dict[str, Any]:
        """Return the configuration, by zenoh's names.

        Args:
            quic: The endpoints to use over QUIC too.
            descriptors: The files that the process may open. New connections get at most half of
                them, so that sessions have some left.
        """
        both = [each.quic for each in self.listen if each in quic]
        found: dict[str, Any] = {
            "mode": "router" if self.router else "peer" if self.listen else "client",
            "listen/endpoints": [*both, *(each._locator for each in self.listen)],
            "connect/endpoints": [
                locator for each in self.connect for locator in self._locators(each, quic)
            ],
            # An endpoint must answer at first; if it disappears later, zenoh reconnects.
            "connect/exit_on_failure": True,
            "connect/timeout_ms": 3000,
            "listen/exit_on_failure": True,
            "connect/retry": {
                "period_init_ms": 100,
                "period_max_ms": 2000,
                "period_increase_factor": 2,
            },
            "scouting/multicast/enabled": False,
            "scouting/gossip/enabled": False,
            # It would send messages over 3 KB through shared memory that it does not free.
            "transport/shared_memory/enabled": False,
            "transport/link/tx/queue/size/data": _QUEUE_LENGTH,
            "transport/link/tx/lease": 4000,
            # Received messages: otherwise a peer can make zenoh assemble a gigabyte.
            "transport/link/rx/max_message_size": MAX_ZENOH_MESSAGE,
            # Time for QUIC, where it is blocked by now, before TCP is tried.
            "transport/unicast/open_timeout": 3000,
            # Idle connections of strangers must not keep others out.
            "transport/unicast/accept_timeout": ACCEPT_TIMEOUT,
            "transport/unicast/accept_pending": min(_ACCEPT_PENDING, max(descriptors // 2, 1)),
        }
        if not self.connect:
            del found["connect/retry"]
        if self.tls is not None:
            found["transport/link/tls"] = {
                "root_ca_certificate": self.tls.authority,
                "listen_private_key": self.tls.key,
                "listen_certificate": self.tls.certificate,
                "connect_private_key": self.tls.key,
                "connect_certificate": self.tls.certificate,
                "enable_mtls": True,
                "verify_name_on_connect": True,
                "close_link_on_expiration": True,
            }
        return found

    def json(
        self, quic: Collection[Endpoint] = (), descriptors: int = 2 * _ACCEPT_PENDING
    ) -> dict[str, str]:
        """Return `zenoh` with each value as JSON."""
        return {name: json.dumps(value) for name, value in self.zenoh(quic, descriptors).items()}
