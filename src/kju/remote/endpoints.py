"""How a session reaches others, as zenoh's configuration. I/O-free."""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

from ..errors import UsageError

#: Bytes of zenoh's own queue for each link and priority. What waits there grows old, so it is as
#: short as it can be: two segments.
QUEUE = 2
#: Bytes of one of zenoh's messages: ours have half of that, and zenoh's own are small.
MOST_BYTES = 1 << 17
#: Milliseconds in which a new connection has to become a session of zenoh's, and how many such
#: connections there may be; fewer where the process may not have twice as many files open. With
#: zenoh's 10,000 and 100 a thousand idle ones kept others out for 11 s.
ACCEPT_TIMEOUT, ACCEPT_PENDING = 2_000, 2_000
PROTOCOLS = ("tcp", "tls", "quic")
#: What begins a socket's path: who can enter its folder reaches it, and nobody else.
UNIX = "unix:"
_ENDPOINT = re.compile(
    r"(?:(?P<protocol>[a-z]+)/)?(?P<host>\[[0-9a-fA-F:]+\]|[^\[\]:/]+):(?P<port>\d{1,5})"
)


class Endpoint(NamedTuple):
    """Where somebody listens.

    Attributes:
        protocol: ``tcp``, ``tls``, ``quic`` or ``unix``.
        host: A name or an address; one of IPv6 in brackets. Or a socket's path.
        port: 0 for a socket's path.
    """

    protocol: str
    host: str
    port: int

    def __str__(self) -> str:
        if self.protocol == "unix":
            return UNIX + self.host
        return f"{self.protocol}/{self.host}:{self.port}"

    @property
    def locator(self) -> str:
        """As zenoh has it."""
        if self.protocol == "unix":
            return f"unixsock-stream/{self.host}"
        return self.quic if self.protocol == "quic" else str(self)

    @property
    def quic(self) -> str:
        """As zenoh has it, over QUIC: of what may be lost each message is a datagram of its own.

        Nothing is encrypted where it is not over TCP either. ``auto``: with an endpoint that knows
        streams only there are only streams. One stream: what must arrive keeps its order, also a
        hello that comes after it was said who listens to its answer.
        """
        how = "mixed_rel=auto;multistream=0"
        if self.protocol == "tcp":
            return f"udp/{self.host}:{self.port}?rel=1;{how}"
        return f"quic/{self.host}:{self.port}?{how}"

    @property
    def is_local(self) -> bool:
        """Whether only this computer reaches it."""
        if self.protocol == "unix" or self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host.strip("[]")).is_loopback
        except ValueError:
            return False


def endpoint(text: str, protocol: str = "tls") -> Endpoint:
    """``HOST:PORT``, ``PROTOCOL/HOST:PORT`` or ``unix:PATH``.

    Raises:
        UsageError: It is none.
    """
    if text.startswith(UNIX + "/"):
        return Endpoint("unix", text.removeprefix(UNIX), 0)
    found = _ENDPOINT.fullmatch(text)
    if found is None or int(found["port"]) > 65535:
        raise UsageError(
            f"{text!r} is no place to listen or connect: say HOST:PORT or tcp/HOST:PORT"
        )
    made = Endpoint(found["protocol"] or protocol, found["host"], int(found["port"]))
    if made.protocol not in PROTOCOLS:
        raise UsageError(f"{text!r}: there are {', '.join(PROTOCOLS)}, not {made.protocol}")
    return made


class Tls(NamedTuple):
    """Files of one side's certificate, in PEM.

    Attributes:
        authority: Of the authority that both trust.
        certificate: This side's own.
        key: Its private key.
    """

    authority: str
    certificate: str
    key: str


class Options(NamedTuple):
    """How a session reaches others.

    Attributes:
        listen: Where others come.
        connect: Where others listen: senders, viewers or routers.
        tls: Certificates; None where nothing is encrypted.
        router: Whether the session hands on what others say to each other.
        datagrams: Whether places over TCP are there over QUIC, too, on the UDP port of the same
            number; None: those that other computers reach. On the way from a computer to itself
            nothing is lost, and TCP takes less of the processor.
    """

    listen: Sequence[Endpoint] = ()
    connect: Sequence[Endpoint] = ()
    tls: Tls | None = None
    router: bool = False
    datagrams: bool | None = None

    def check(self, *, insecure: bool) -> None:
        """Refuse to be open to others without certificates.

        Raises:
            UsageError: Something leaves this computer that is not encrypted.
        """
        for where in (*self.listen, *self.connect):
            encrypted = where.protocol in ("tls", "quic")
            if encrypted and self.tls is None:
                raise UsageError(f"{where} needs certificates: make them with kju cert")
            if not encrypted and not where.is_local and not insecure:
                raise UsageError(
                    f"{where} would carry screens and keys over the network for anybody to read"
                    " and to send: use tls/ with certificates (kju cert), or say --insecure"
                )

    def may_have_datagrams(self, where: Endpoint) -> bool:
        """Whether a place is to be tried over QUIC, too."""
        if where.protocol not in ("tcp", "tls"):
            return False
        return not where.is_local if self.datagrams is None else self.datagrams

    def _ways(self, where: Endpoint, quic: Collection[Endpoint]) -> list[str]:
        """How a place is reached, the best first: only a client tries one after the other."""
        if where not in quic:
            return [where.locator]
        return [where.quic] if self.router or self.listen else [where.quic, where.locator]

    def zenoh(
        self, quic: Collection[Endpoint] = (), descriptors: int = 2 * ACCEPT_PENDING
    ) -> dict[str, Any]:
        """The configuration, by zenoh's names.

        Args:
            quic: Of the places those that are there over QUIC, too.
            descriptors: Files that the process may have open. New connections get half of them at
                most, so that they leave some for sessions.
        """
        both = [each.quic for each in self.listen if each in quic]
        found: dict[str, Any] = {
            "mode": "router" if self.router else "peer" if self.listen else "client",
            "listen/endpoints": [*both, *(each.locator for each in self.listen)],
            "connect/endpoints": [way for each in self.connect for way in self._ways(each, quic)],
            # Who is not there at first is an error; who goes away later is looked for again.
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
            # It would move what is larger than 3 KB through segments that it leaves behind.
            "transport/shared_memory/enabled": False,
            "transport/link/tx/queue/size/data": QUEUE,
            "transport/link/tx/lease": 4000,
            # Of what others send: else a gigabyte is put together before it can be refused.
            "transport/link/rx/max_message_size": MOST_BYTES,
            # How long QUIC is tried where it has come to be blocked, before TCP is.
            "transport/unicast/open_timeout": 3000,
            # Connections that say nothing, whoever opens them, keep places from others.
            "transport/unicast/accept_timeout": ACCEPT_TIMEOUT,
            "transport/unicast/accept_pending": min(ACCEPT_PENDING, max(descriptors // 2, 1)),
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
        self, quic: Collection[Endpoint] = (), descriptors: int = 2 * ACCEPT_PENDING
    ) -> dict[str, str]:
        """The same, each value as JSON."""
        return {name: json.dumps(value) for name, value in self.zenoh(quic, descriptors).items()}
